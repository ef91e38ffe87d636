#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/search_affine_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Rows of the table search one panel; they agree to the bit.
struct SearchAffineKernel {
  const char* name;
  const char* (*refuses)(const SearchAffineProblem&, const Caps&);
  void (*run)(const SearchAffineProblem&, const SearchAffinePanel&);
};

/// Rows in order of preference.
std::span<const SearchAffineKernel> search_affine_kernels();

/// Consecutive groups of finite values.
struct SearchAffineArgs {
  const float* x = nullptr;  ///< [groups, group]
  std::int64_t groups = 0;
  std::int64_t group = 0;
  /// [period, group], >= 0: how much the squared error of a column counts;
  /// group g takes row g % period. Null: all count 1.
  const float* weights = nullptr;
  std::int64_t period = 1;
  float* scale = nullptr;       ///< [groups], in: where to start; > 0
  float* zero_point = nullptr;  ///< [groups], in: integers in [low, high]
  float* error = nullptr;       ///< [groups], out: weighted squared error
};

/// Looks for the scale and the zero point with the least weighted squared error
/// of (code - zero point) * scale against x: ranges narrower than that of the
/// values, their zero point and its neighbours, each once more with the scale
/// of least squares for its codes (the search of llama.cpp's k-quants, here
/// with a stored zero point). What comes out is never worse than what goes in,
/// and does not depend on the other groups.
void search_affine(const SearchAffineKernel& kernel,
                   const SearchAffineProblem& problem,
                   const SearchAffineArgs& args);

/// The same with the preferred row of this machine.
void search_affine(const SearchAffineProblem& problem,
                   const SearchAffineArgs& args);

void list_search_affine(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
