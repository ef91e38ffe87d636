#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/select.h"

namespace mantissa::kernels {

/// `count` dense elements of one dtype become another (op "convert").
struct ConvertProblem {
  DType from = DType::BFloat16;
  DType to = DType::Float32;
};

struct ConvertArgs {
  const std::byte* from;
  std::byte* to;
  std::int64_t count;
};

struct ConvertKernel {
  const char* name;
  const char* (*refuses)(const ConvertProblem&, const Caps&);
  void (*run)(const ConvertProblem&, const ConvertArgs&);
};

std::span<const ConvertKernel> convert_kernels();
void list_convert(const Caps& caps, std::vector<KernelInfo>& out);

/// True when the reference can read (write) the dtype.
bool can_convert_from(DType dtype);
bool can_convert_to(DType dtype);

/// The scalar kernel that defines the result.
void run_convert_ref(const ConvertProblem& problem, const ConvertArgs& args);

/// First NaN or infinity of `count` elements, `count` if none (op
/// "find_nonfinite").
struct FindNonfiniteProblem {
  DType dtype = DType::BFloat16;
};

struct FindNonfiniteArgs {
  const std::byte* data;
  std::int64_t count;
};

struct FindNonfiniteKernel {
  const char* name;
  const char* (*refuses)(const FindNonfiniteProblem&, const Caps&);
  std::int64_t (*run)(const FindNonfiniteProblem&, const FindNonfiniteArgs&);
};

std::span<const FindNonfiniteKernel> find_nonfinite_kernels();
void list_find_nonfinite(const Caps& caps, std::vector<KernelInfo>& out);

std::int64_t run_find_nonfinite_ref(const FindNonfiniteProblem& problem,
                                    const FindNonfiniteArgs& args);

}  // namespace mantissa::kernels
