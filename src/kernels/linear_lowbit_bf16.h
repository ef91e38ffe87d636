#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/aligned_bytes.h"
#include "kernels/linear_lowbit_bf16_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Products of bfloat16 activations with low-bit weights in the runtime layout
/// (op "linear_lowbit_bf16").
struct LinearLowbitBf16Problem {
  int bits = 4;
  std::int64_t m = 1;
  std::int64_t n = 16;
  std::int64_t k = 32;
  std::int64_t group = 32;  ///< LowbitWeightView::group
  /// Rows a panel of x, as in LowbitBf16s; 0: not arranged yet. It is arranged
  /// for several weights, so that no row refuses a problem for its bits or n.
  std::int32_t panel = 0;
};

/// The problem of m rows of activations in panels of `panel`.
inline LinearLowbitBf16Problem linear_lowbit_bf16_problem(
    const LowbitWeightView& w, std::int64_t m, std::int32_t panel) {
  return {w.bits, m, w.n, w.k, w.group, panel};
}

struct LinearLowbitBf16Kernel {
  const char* name;
  const char* (*refuses)(const LinearLowbitBf16Problem&, const Caps&);
  void (*run)(const LinearLowbitBf16Args&, const LinearLowbitTiles&);
  /// As in LinearLowbitKernel.
  std::int64_t (*workspace_bytes)(const LinearLowbitBf16Problem&,
                                  std::int64_t threads);
  /// Rows a panel of x [m, ..] as this row wants it.
  std::int32_t (*panel_of)(std::int64_t m);
};

/// Rows in order of preference.
std::span<const LinearLowbitBf16Kernel> linear_lowbit_bf16_kernels();

/// The preferred row of this machine.
const LinearLowbitBf16Kernel& select_linear_lowbit_bf16(
    const LinearLowbitBf16Problem& problem);

void list_linear_lowbit_bf16(const Caps& caps, std::vector<KernelInfo>& out);

/// Memory of LowbitBf16s, used again by the next call: arranged once, read by
/// several products.
class LowbitBf16Buffer {
 public:
  /// Room for [m, k] as the preferred row of this machine reads it.
  void resize(std::int64_t m, std::int64_t k);
  /// In panels of `panel` rows, as in LowbitBf16s.
  void resize(std::int64_t m, std::int64_t k, std::int32_t panel);

  std::int64_t panels() const;
  /// Rows of x [m, k], bits of bfloat16, into panels [begin, end); `stride`
  /// values from one row to the next.
  void fill(const std::uint16_t* x,
            std::int64_t stride,
            std::int64_t begin,
            std::int64_t end);
  /// Valid until the next resize().
  LowbitBf16s view() const;

 private:
  std::int64_t chunks() const;

  std::int64_t m_ = 0;
  std::int64_t k_ = 0;
  std::int32_t panel_ = 1;
  AlignedBytes values_;
  AlignedBytes sums_;
};

}  // namespace mantissa::kernels
