#include "kernels/lowbit_activations.h"

#include <algorithm>
#include <cstring>

namespace mantissa::kernels {
namespace {

std::int32_t half_sum(const std::int8_t* codes) {
  std::int32_t out = 0;
  for (std::int64_t j = 0; j < kLowbitHalf; ++j) out += codes[j];
  return out;
}

}  // namespace

std::int32_t LowbitActivationBuffer::panel_of(std::int64_t m) {
  if (m <= 2) return m == 2 ? 2 : 1;
  return m <= 4 ? 4 : 8;
}

std::int64_t LowbitActivationBuffer::panels() const {
  return (m_ + panel_ - 1) / panel_;
}

std::int64_t LowbitActivationBuffer::chunks() const {
  return (k_ + kLowbitChunk - 1) / kLowbitChunk;
}

std::int64_t LowbitActivationBuffer::groups() const {
  return group_ == 0 ? 1 : (k_ + group_ - 1) / group_;
}

void LowbitActivationBuffer::resize(std::int64_t m,
                                    std::int64_t k,
                                    std::int64_t group,
                                    bool zeros) {
  m_ = m;
  k_ = k;
  group_ = group;
  has_zeros_ = zeros;
  panel_ = panel_of(m);
  const auto rows = static_cast<std::size_t>(panels() * panel_);
  const auto count = static_cast<std::size_t>(chunks());
  codes_.reserve(rows * count * kLowbitChunk);
  sums_.reserve(rows * count * sizeof(std::int32_t));
  half_sums_.reserve(rows * count * 2 * sizeof(std::int32_t));
  scales_.reserve(rows * static_cast<std::size_t>(groups()) * sizeof(float));
  if (zeros) zeros_.reserve(rows * sizeof(float));
}

QuantizePanelsArgs LowbitActivationBuffer::fill_from(const float* x,
                                                     std::int64_t x_stride) {
  return {x,
          x_stride,
          m_,
          k_,
          panel_,
          group_,
          codes_.as<std::int8_t>(),
          sums_.as<std::int32_t>(),
          scales_.as<float>(),
          half_sums_.as<std::int32_t>()};
}

void LowbitActivationBuffer::take_rows(const std::int8_t* codes,
                                       const float* scales,
                                       const std::int32_t* zeros,
                                       std::int64_t begin,
                                       std::int64_t end) {
  const std::int64_t stored = chunks() * kLowbitChunk;
  for (std::int64_t i = begin * panel_; i < end * panel_; ++i) {
    const std::int64_t panel = i / panel_;
    const std::int64_t row = i % panel_;
    const bool real = i < m_;
    const float scale = scales == nullptr ? 1.0f : real ? scales[i] : 0.0f;
    scales_.as<float>()[i] = scale;
    if (has_zeros_) {
      zeros_.as<float>()[i] = real ? static_cast<float>(zeros[i]) : 0.0f;
    }
    auto* out = codes_.as<std::int8_t>() + panel * stored * panel_ + row * 4;
    auto* sums = sums_.as<std::int32_t>() + panel * chunks() * panel_ + row;
    auto* halves =
        half_sums_.as<std::int32_t>() + panel * 2 * chunks() * panel_ + row;
    for (std::int64_t c = 0; c < chunks(); ++c) {
      std::int8_t chunk[kLowbitChunk] = {};
      const std::int64_t count = std::min(kLowbitChunk, k_ - c * kLowbitChunk);
      if (real) {
        std::memcpy(chunk,
                    codes + i * k_ + c * kLowbitChunk,
                    static_cast<std::size_t>(count));
      }
      const std::int32_t first = half_sum(chunk);
      const std::int32_t second = half_sum(chunk + kLowbitHalf);
      sums[c * panel_] = first + second;
      halves[2 * c * panel_] = first;
      halves[(2 * c + 1) * panel_] = second;
      for (std::int64_t u = 0; u < kLowbitChunk / 4; ++u) {
        std::memcpy(
            out + (c * kLowbitChunk / 4 + u) * 4 * panel_, chunk + 4 * u, 4);
      }
    }
  }
}

LowbitActivations LowbitActivationBuffer::view() const {
  return {m_,
          chunks() * kLowbitChunk,
          panel_,
          group_,
          codes_.as<std::int8_t>(),
          sums_.as<std::int32_t>(),
          scales_.as<float>(),
          has_zeros_ ? zeros_.as<float>() : nullptr,
          half_sums_.as<std::int32_t>()};
}

}  // namespace mantissa::kernels
