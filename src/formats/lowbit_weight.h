#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <mantissa/formats/encoding.h>

#include "core/huge_page_bytes.h"
#include "kernels/lowbit_layout.h"

namespace mantissa {

/// A quantized weight [N, K] in the runtime layout of linear_lowbit
/// (kernels/lowbit_layout.h), in place of its fields: b bits a code, scales of
/// 16 bits where that is exact, zero points where one is not 0, float zero
/// points beside the scales as their offsets, and in two levels a byte a group
/// for each of both. Float8 codes have a scale of each row, whatever rows
/// shared it.
class LowbitWeight {
 public:
  /// run(begin, end) for parts of [0, count), from several threads if it likes.
  using Parallel = std::function<void(
      std::int64_t count,
      const std::function<void(std::int64_t, std::int64_t)>& run)>;

  /// "" or why a weight of this encoding has no runtime layout.
  static std::string refusal(const Encoding& encoding);

  /// Bytes that a weight of an encoding without a refusal takes at most.
  static std::int64_t most_bytes(const Encoding& encoding);

  /// Throws Error(Usage) with the refusal.
  LowbitWeight(std::shared_ptr<const Encoding> encoding,
               std::span<const ConstTensorView> fields,
               const Parallel& parallel);

  const std::shared_ptr<const Encoding>& encoding() const { return encoding_; }
  const kernels::LowbitLayout& layout() const { return layout_; }
  kernels::LowbitWeightView view() const { return view_; }
  /// Bytes that a product reads.
  std::int64_t bytes() const;
  /// The stored fields, bit for bit but for unused bits of packed words, which
  /// are 0.
  std::vector<HostTensor> fields() const;

 private:
  // Of tiles [begin, end), whose metadata are packed.
  void pack_codes(const std::int8_t* codes,
                  std::int64_t begin,
                  std::int64_t end);

  std::shared_ptr<const Encoding> encoding_;
  kernels::LowbitLayout layout_;
  HugePageBytes codes_;
  HugePageBytes scales_;
  HugePageBytes zeros_;
  HugePageBytes offsets_;
  HugePageBytes factors_;
  HugePageBytes offset_factors_;
  HugePageBytes sums_;
  // Of compressed-tensors, as stored: weight_shape, static input scales.
  std::vector<HostTensor> kept_fields_;
  kernels::LowbitWeightView view_;
};

}  // namespace mantissa
