#pragma once

#include <cstdint>

#include "core/aligned_bytes.h"
#include "kernels/linear_lowbit_args.h"
#include "kernels/quantize_panels_args.h"

namespace mantissa::kernels {

/// Memory of LowbitActivations, used again by the next call: quantized once,
/// read by several products.
class LowbitActivationBuffer {
 public:
  /// Rows a panel for m rows.
  static std::int32_t panel_of(std::int64_t m);

  /// Room for [m, k]; `group` 32 or 64, or 0: a scale (and with `zeros` a zero
  /// point) each row.
  void resize(std::int64_t m, std::int64_t k, std::int64_t group, bool zeros);

  std::int64_t panels() const;
  /// What quantize_panels kernels fill, of x [m, k].
  QuantizePanelsArgs fill_from(const float* x, std::int64_t x_stride);
  /// Codes [m, k] with a scale each row (null: 1), and zero points if resize()
  /// was asked for them, into panels [begin, end).
  void take_rows(const std::int8_t* codes,
                 const float* scales,
                 const std::int32_t* zeros,
                 std::int64_t begin,
                 std::int64_t end);
  /// Valid until the next resize().
  LowbitActivations view() const;

 private:
  std::int64_t chunks() const;
  std::int64_t groups() const;

  std::int64_t m_ = 0;
  std::int64_t k_ = 0;
  std::int64_t group_ = 0;
  std::int32_t panel_ = 1;
  bool has_zeros_ = false;
  AlignedBytes codes_;
  AlignedBytes sums_;
  AlignedBytes half_sums_;
  AlignedBytes scales_;
  AlignedBytes zeros_;
};

}  // namespace mantissa::kernels
