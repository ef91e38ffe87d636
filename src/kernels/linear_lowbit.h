#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/linear_lowbit_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Products of int8 activations, a scale each row or each group, with low-bit
/// weights in the runtime layout (op "linear_lowbit").
struct LinearLowbitProblem {
  int bits = 4;
  std::int64_t m = 1;
  std::int64_t n = 16;
  std::int64_t k = 32;
  /// Values of K with one scale of each kind (kLowbitHalf or more): of weights
  /// and of activations in groups.
  std::int64_t segment = 64;
  bool from_zero = false;  ///< LowbitWeightView::from_zero
  bool levels = false;     ///< its scales have two
};

/// The segment of a product; `w_group` and `x_group` as in its views, where 0
/// is a scale each row.
inline std::int64_t lowbit_segment(std::int64_t w_group,
                                   std::int64_t x_group,
                                   std::int64_t k) {
  const std::int64_t w = w_group == 0 ? k : w_group;
  const std::int64_t x = x_group == 0 ? k : x_group;
  return w < x ? w : x;
}

/// The problem of m rows of activations with a scale each `x_group` values (0:
/// each row).
inline LinearLowbitProblem linear_lowbit_problem(const LowbitWeightView& w,
                                                 std::int64_t m,
                                                 std::int64_t x_group) {
  return {w.bits,
          m,
          w.n,
          w.k,
          lowbit_segment(w.group, x_group, w.k),
          w.from_zero,
          w.factors != nullptr};
}

struct LinearLowbitKernel {
  const char* name;
  const char* (*refuses)(const LinearLowbitProblem&, const Caps&);
  void (*run)(const LinearLowbitArgs&, const LinearLowbitTiles&);
  /// Bytes of workspace for calls of `threads` threads at a time, in as many
  /// equal parts, multiples of 64; 0 where none is read. More rows never need
  /// less.
  std::int64_t (*workspace_bytes)(const LinearLowbitProblem&,
                                  std::int64_t threads);
};

/// Rows in order of preference.
std::span<const LinearLowbitKernel> linear_lowbit_kernels();

/// The preferred row of this machine.
const LinearLowbitKernel& select_linear_lowbit(
    const LinearLowbitProblem& problem);

void list_linear_lowbit(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
