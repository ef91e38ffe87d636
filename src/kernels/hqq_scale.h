#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/hqq_scale_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Rows of the table fit one panel and code groups; they agree to the bit.
struct HqqScaleKernel {
  const char* name;
  const char* (*refuses)(const HqqScaleProblem&, const Caps&);
  void (*run)(const HqqScaleProblem&, const HqqScalePanel&);
  void (*codes)(const HqqScaleProblem&, const HqqCodesArgs&);
};

/// Rows in order of preference.
std::span<const HqqScaleKernel> hqq_scale_kernels();

/// Consecutive groups of finite values.
struct HqqScaleArgs {
  const float* x = nullptr;  ///< [groups, group]
  std::int64_t groups = 0;
  std::int64_t group = 0;
  float* scale = nullptr;  ///< [groups], in: where to start, > 0
  /// One value an iteration, in and out: the largest relative change of a scale
  /// so far.
  std::span<float> change;
};

/// `change.size()` iterations of hqq_next_scale() for every group, with the
/// row given or with the preferred row of this machine.
void hqq_scale(const HqqScaleKernel& kernel,
               const HqqScaleProblem& problem,
               const HqqScaleArgs& args);
void hqq_scale(const HqqScaleProblem& problem, const HqqScaleArgs& args);

/// hqq_code() of every value.
void hqq_codes(const HqqScaleProblem& problem, const HqqCodesArgs& args);

void list_hqq_scale(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
