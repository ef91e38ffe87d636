#pragma once

// Low-bit weights for the tests of the products with them: what they hold in
// plain numbers, and the runtime layout of it.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "kernels/lowbit_layout.h"

namespace mantissa::kernels {

/// Calls in which a kernel of one row takes each of its ways to read codes.
constexpr int kCallsOfEveryWay = 34;

/// Columns of a weight of more than a MiB of codes, from which on a kernel of
/// one row may read several parts of it at once; 3 tiles more than parts share.
inline std::int64_t columns_of_a_large_range(int bits, std::int64_t k) {
  const std::int64_t tiles = (std::int64_t{1} << 20) / (2 * bits * k) + 1;
  return (tiles / 4 * 4 + 7) * 16 - 5;
}

/// Offsets of a case: none, as large as the scales, or some of them, and some
/// scales, so far from the others that a float of 24 bits holds no sum of both.
enum class LowbitOffsets { None, Near, Far };

/// Half to even to so many bits, of 2^least at least: no infinity.
inline float rounded_to(double value, int bits, int least) {
  if (!std::isfinite(value) || value == 0) return static_cast<float>(value);
  const double step =
      std::ldexp(1.0, std::max(std::ilogb(value) - bits + 1, least));
  return static_cast<float>(std::nearbyint(value / step) * step);
}

/// Half to even to a dtype.
inline float rounded_to(double value, LowbitScale dtype) {
  switch (dtype) {
    case LowbitScale::Bf16:
      return rounded_to(value, 8, -133);
    case LowbitScale::F16:
      return std::fabs(value) < 65520
                 ? rounded_to(value, 11, -24)
                 : std::copysign(std::numeric_limits<float>::infinity(),
                                 static_cast<float>(value));
    case LowbitScale::F32:
      break;
  }
  return static_cast<float>(value);
}

/// a + b in a double, or the odd one of the two beside it: rounded to fewer
/// bits next, that is a + b rounded once.
inline double sum_to_odd(double a, double b) {
  const double sum = a + b;
  const double back = sum - a;
  const double lost = (a - (sum - back)) + (b - back);
  if (lost == 0 || !std::isfinite(sum)) return sum;
  const bool inward = (lost < 0) != std::signbit(sum);
  const auto bits = std::bit_cast<std::uint64_t>(sum) - (inward ? 1 : 0);
  return std::bit_cast<double>(bits | 1);
}

struct LowbitCase {
  LowbitLayout layout;
  bool zeros = false;
  LowbitScale type = LowbitScale::Bf16;
  bool extreme = false;  ///< codes at the ends of their range only
  LowbitCode code = LowbitCode::Integer;
  LowbitOffsets offsets = LowbitOffsets::None;
};

/// A weight with random codes, scales and zero points.
class LowbitCaseWeight {
 public:
  LowbitCaseWeight(const LowbitCase& c, std::mt19937& random) : case_(c) {
    const LowbitLayout& layout = c.layout;
    const int low = -(1 << (layout.bits - 1));
    const int high = -low - 1;
    std::uniform_int_distribution<int> code(low, high);
    codes_.resize(static_cast<std::size_t>(layout.n * layout.k));
    for (std::int8_t& v : codes_) {
      v = static_cast<std::int8_t>(c.extreme ? (random() % 2 ? low : high)
                                             : code(random));
      // NaN and infinity of float8 have a test of their own.
      if (!std::isfinite(float8(v))) v = 0;
    }
    const auto groups = static_cast<std::size_t>(layout.n * layout.groups());
    const LowbitLayout supers = layout.supers();
    std::uniform_real_distribution<float> real(-0.02f, 0.05f);
    for (std::size_t i = 0; i < groups; ++i) {
      if (i < static_cast<std::size_t>(layout.n * supers.groups())) {
        scales_.push_back(real(random));
      }
      zeros_.push_back(static_cast<std::int8_t>(code(random)));
    }
    if (c.offsets != LowbitOffsets::None) make_offsets(random);
    if (layout.super != 0) make_factors(groups, random);
    pack();
  }
  LowbitCaseWeight(const LowbitCaseWeight&) = delete;

  /// Scale g = row * groups + group becomes what `scale` is in the case's type.
  void set_scale(std::int64_t g, float scale) {
    scales_[static_cast<std::size_t>(g)] = scale;
    pack();
  }

  /// Code i = row * k + column becomes the float8 code `bits`.
  void set_float8(std::int64_t i, std::uint8_t bits) {
    codes_[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(bits ^ 0x80);
    pack();
  }

  /// (code - zero) of row j, or its code from 0.
  int code_at(std::int64_t j, std::int64_t k) const {
    const int code =
        codes_[static_cast<std::size_t>(j * case_.layout.k + k)] +
        (case_.layout.from_zero ? 1 << (case_.layout.bits - 1) : 0);
    return case_.zeros ? code - zeros_[static_cast<std::size_t>(group(j, k))]
                       : code;
  }
  /// As the kernels read it: of two levels, the product.
  double scale_at(std::int64_t j, std::int64_t k) const {
    return level(scales_, factors_, j, k);
  }
  /// The same; 0 where there are none.
  double offset_at(std::int64_t j, std::int64_t k) const {
    return offsets_.empty() ? 0.0 : level(offsets_, offset_factors_, j, k);
  }
  /// (code - zero), or the float8 value.
  double number_at(std::int64_t j, std::int64_t k) const {
    if (case_.code == LowbitCode::Integer) return code_at(j, k);
    return float8(codes_[static_cast<std::size_t>(j * case_.layout.k + k)]);
  }
  double value_at(std::int64_t j, std::int64_t k) const {
    const double value = number_at(j, k) * scale_at(j, k);
    // -0 stays that.
    return case_.offsets == LowbitOffsets::None ? value
                                                : value + offset_at(j, k);
  }
  /// The magnitudes of what value_at() adds.
  double magnitude_at(std::int64_t j, std::int64_t k) const {
    return std::fabs(number_at(j, k) * scale_at(j, k)) +
           std::fabs(offset_at(j, k));
  }

  const LowbitLayout& layout() const { return case_.layout; }
  const std::vector<std::int8_t>& codes() const { return codes_; }
  const std::vector<std::uint8_t>& packed() const { return packed_; }
  const LowbitWeightView& view() const { return weight_; }

 private:
  void make_offsets(std::mt19937& random) {
    std::uniform_real_distribution<float> real(-0.3f, 0.3f);
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      offsets_.push_back(i % 5 == 4 ? 0.0f : real(random));
      if (case_.offsets != LowbitOffsets::Far) continue;
      if (random() % 2 == 0) scales_[i] *= 0x1p11f;
      if (random() % 2 == 0) offsets_[i] *= 0x1p-20f;
    }
  }

  // Factors of all that a byte holds, with codes from 0 of 6 bits.
  void make_factors(std::size_t groups, std::mt19937& random) {
    const bool positive = case_.layout.from_zero;
    std::uniform_int_distribution<int> factor(positive ? 0 : -128,
                                              positive ? 63 : 127);
    for (std::size_t i = 0; i < groups; ++i) {
      factors_.push_back(static_cast<std::int8_t>(factor(random)));
      offset_factors_.push_back(static_cast<std::int8_t>(factor(random)));
    }
  }

  double level(const std::vector<float>& values,
               const std::vector<std::int8_t>& factors,
               std::int64_t j,
               std::int64_t k) const {
    const LowbitLayout supers = case_.layout.supers();
    const std::int64_t at = j * supers.groups() + k / supers.group;
    const double value = narrowed(values[static_cast<std::size_t>(at)]);
    return factors.empty()
               ? value
               : value * factors[static_cast<std::size_t>(group(j, k))];
  }

  float narrowed(float value) const {
    if (case_.type == LowbitScale::Bf16) {
      return bfloat16_to_float(float_to_bfloat16(value));
    }
    if (case_.type == LowbitScale::F16) {
      return float16_to_float(float_to_float16(value));
    }
    return value;
  }

  // What a code means where codes are float8; else 0.
  float float8(std::int8_t code) const {
    const auto bits = static_cast<std::uint8_t>(code ^ 0x80);
    return case_.code == LowbitCode::E4m3   ? Float8E4M3FN::decode(bits)
           : case_.code == LowbitCode::E5m2 ? Float8E5M2::decode(bits)
                                            : 0.0f;
  }

  std::int64_t group(std::int64_t j, std::int64_t k) const {
    return j * case_.layout.groups() + k / case_.layout.group;
  }

  void pack_floats(const std::vector<float>& from,
                   std::vector<std::uint8_t>& to) const {
    const LowbitLayout layout = case_.layout.supers();
    std::vector<std::uint16_t> narrow;
    for (const float value : from) {
      narrow.push_back(case_.type == LowbitScale::F16
                           ? float_to_float16(value)
                           : float_to_bfloat16(value));
    }
    const bool wide = case_.type == LowbitScale::F32;
    to.resize(static_cast<std::size_t>(layout.metadata_values()) * 4);
    pack_lowbit_metadata(
        layout,
        wide ? static_cast<const void*>(from.data()) : narrow.data(),
        wide ? 4 : 2,
        0,
        layout.tiles(),
        to.data());
  }

  const std::int8_t* pack_bytes(const std::vector<std::int8_t>& from,
                                std::vector<std::int8_t>& to) const {
    if (from.empty()) return nullptr;
    const LowbitLayout& layout = case_.layout;
    to.resize(static_cast<std::size_t>(layout.metadata_values()));
    pack_lowbit_metadata(layout, from.data(), 1, 0, layout.tiles(), to.data());
    return to.data();
  }

  void pack() {
    const LowbitLayout& layout = case_.layout;
    packed_.resize(static_cast<std::size_t>(layout.code_bytes()));
    pack_lowbit(layout,
                codes_.data(),
                case_.zeros ? zeros_.data() : nullptr,
                0,
                layout.tiles(),
                packed_.data());
    pack_floats(scales_, packed_scales_);
    if (!offsets_.empty()) pack_floats(offsets_, packed_offsets_);
    const std::int8_t* zeros = pack_bytes(zeros_, packed_zeros_);
    const std::int8_t* offset_factors =
        pack_bytes(offset_factors_, packed_offset_factors_);
    weight_ = {layout.bits,
               layout.n,
               layout.stored_k(),
               layout.stored_group(),
               packed_.data(),
               case_.type,
               packed_scales_.data(),
               case_.zeros ? zeros : nullptr,
               nullptr,
               case_.code,
               offsets_.empty() ? nullptr : packed_offsets_.data(),
               layout.from_zero,
               layout.super,
               pack_bytes(factors_, packed_factors_),
               offsets_.empty() ? nullptr : offset_factors};
    sums_.resize(static_cast<std::size_t>(layout.tiles() * kLowbitTile));
    lowbit_sums(
        layout, codes_.data(), weight_, 0, layout.tiles(), sums_.data());
    weight_.sums = sums_.data();
  }

  LowbitCase case_;
  std::vector<std::int8_t> codes_;
  std::vector<float> scales_;
  std::vector<float> offsets_;
  std::vector<std::int8_t> zeros_;
  std::vector<std::uint8_t> packed_;
  std::vector<std::uint8_t> packed_scales_;
  std::vector<std::uint8_t> packed_offsets_;
  std::vector<std::int8_t> packed_zeros_;
  std::vector<std::int8_t> factors_;
  std::vector<std::int8_t> offset_factors_;
  std::vector<std::int8_t> packed_factors_;
  std::vector<std::int8_t> packed_offset_factors_;
  std::vector<float> sums_;
  LowbitWeightView weight_;
};

}  // namespace mantissa::kernels
