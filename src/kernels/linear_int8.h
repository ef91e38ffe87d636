#pragma once

#include <span>
#include <vector>

#include "kernels/linear_int8_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Products of int8 activations, a scale each row, with int8 weights, a scale
/// each row or one for all (op "linear_int8").
struct LinearInt8Problem {
  Element out = Element::Bf16;
  std::int64_t m = 1;
  std::int64_t n = 1;
  std::int64_t k = 1;
};

struct LinearInt8Kernel {
  const char* name;
  const char* (*refuses)(const LinearInt8Problem&, const Caps&);
  void (*run)(Element out, const LinearInt8Args&, const LinearInt8Tile&);
};

/// Rows in order of preference.
std::span<const LinearInt8Kernel> linear_int8_kernels();

/// The preferred row of this machine.
const LinearInt8Kernel& select_linear_int8(const LinearInt8Problem& problem);

void list_linear_int8(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
