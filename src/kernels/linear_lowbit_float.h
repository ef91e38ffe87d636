#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/aligned_bytes.h"
#include "kernels/linear_lowbit_float_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Products of float32 activations with low-bit weights in the runtime layout
/// (op "linear_lowbit_float").
struct LinearLowbitFloatProblem {
  int bits = 4;
  std::int64_t m = 1;
  std::int64_t n = 16;
  std::int64_t k = 32;
  std::int64_t group = 32;  ///< LowbitWeightView::group
  bool levels = false;      ///< its scales have two
};

/// The problem of m rows of activations.
inline LinearLowbitFloatProblem linear_lowbit_float_problem(
    const LowbitWeightView& w, std::int64_t m) {
  return {w.bits, m, w.n, w.k, w.group, w.factors != nullptr};
}

struct LinearLowbitFloatKernel {
  const char* name;
  const char* (*refuses)(const LinearLowbitFloatProblem&, const Caps&);
  void (*run)(const LinearLowbitFloatArgs&, const LinearLowbitTiles&);
  /// As in LinearLowbitKernel.
  std::int64_t (*workspace_bytes)(const LinearLowbitFloatProblem&,
                                  std::int64_t threads);
};

/// Rows in order of preference.
std::span<const LinearLowbitFloatKernel> linear_lowbit_float_kernels();

/// The preferred row of this machine.
const LinearLowbitFloatKernel& select_linear_lowbit_float(
    const LinearLowbitFloatProblem& problem);

void list_linear_lowbit_float(const Caps& caps, std::vector<KernelInfo>& out);

/// Memory of LowbitFloats, used again by the next call: arranged once, read by
/// several products.
class LowbitFloatBuffer {
 public:
  /// Rows a panel for m rows.
  static std::int32_t panel_of(std::int64_t m);

  /// Room for [m, k].
  void resize(std::int64_t m, std::int64_t k);

  std::int64_t panels() const;
  /// Rows of x [m, k] into panels [begin, end); `stride` floats from one row to
  /// the next.
  void fill(const float* x,
            std::int64_t stride,
            std::int64_t begin,
            std::int64_t end);
  /// Valid until the next resize().
  LowbitFloats view() const;

 private:
  std::int64_t stored_k() const;

  std::int64_t m_ = 0;
  std::int64_t k_ = 0;
  std::int32_t panel_ = 1;
  AlignedBytes values_;
};

}  // namespace mantissa::kernels
