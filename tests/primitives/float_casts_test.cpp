#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <mantissa/primitives/float_casts.h>

namespace mantissa {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// The finite values of a format from the formula, by code; NaN elsewhere.
struct Grid {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  int max_code;

  double value(int code) const {
    const int magnitude = code & ((1 << (exponent_bits + mantissa_bits)) - 1);
    if (magnitude > max_code) return kNan;
    const int exponent = magnitude >> mantissa_bits;
    const int mantissa = magnitude & ((1 << mantissa_bits) - 1);
    const double fraction = std::ldexp(mantissa, -mantissa_bits);
    const double absolute = exponent == 0
                                ? std::ldexp(fraction, 1 - bias)
                                : std::ldexp(1.0 + fraction, exponent - bias);
    return magnitude == code ? absolute : -absolute;
  }
};

template <class Format>
void expect_grid(const Grid& grid) {
  // Each code comes back, each middle goes to the even code, and the floats
  // next to a middle go to its own side.
  for (int code = 0; code <= grid.max_code; ++code) {
    const auto value = static_cast<float>(grid.value(code));
    EXPECT_EQ(Format::decode(static_cast<std::uint8_t>(code)), value) << code;
    EXPECT_EQ(Format::encode(value), code);
    EXPECT_EQ(Format::encode_saturating(value), code);
    if (code > 0) {
      const std::uint8_t negative =
          static_cast<std::uint8_t>(code | Format::kSignBit);
      EXPECT_EQ(Format::decode(negative), -value) << code;
      EXPECT_EQ(Format::encode(-value), negative);
    }
    if (code == grid.max_code) continue;
    const auto middle =
        static_cast<float>((grid.value(code) + grid.value(code + 1)) / 2);
    EXPECT_EQ(Format::encode(middle), code + code % 2) << code;
    EXPECT_EQ(Format::encode(std::nextafter(middle, kInf)), code + 1);
    EXPECT_EQ(Format::encode(std::nextafter(middle, 0.0f)), code);
  }
}

TEST(FloatCastsTest, GridsTiesAndNeighbours) {
  expect_grid<Float8E4M3FN>({4, 3, 7, 0x7e});
  expect_grid<Float8E5M2>({5, 2, 15, 0x7b});
  expect_grid<Float8E4M3FNUZ>({4, 3, 8, 0x7f});
  expect_grid<Float8E5M2FNUZ>({5, 2, 16, 0x7f});
  expect_grid<Float6E3M2>({3, 2, 3, 0x1f});
  expect_grid<Float6E2M3>({2, 3, 1, 0x1f});
  expect_grid<Float4E2M1>({2, 1, 1, 0x7});
}

TEST(FloatCastsTest, OverflowAsTorchCasts) {
  EXPECT_EQ(Float8E4M3FN::encode(464.0f), 0x7e);
  EXPECT_EQ(Float8E4M3FN::encode(std::nextafter(464.0f, kInf)), 0x7f);
  EXPECT_EQ(Float8E4M3FN::encode(-kInf), 0xff);
  EXPECT_EQ(Float8E5M2::encode(std::nextafter(61440.0f, 0.0f)), 0x7b);
  EXPECT_EQ(Float8E5M2::encode(61440.0f), 0x7c);
  EXPECT_EQ(Float8E5M2::encode(-kInf), 0xfc);
  EXPECT_EQ(Float8E4M3FNUZ::encode(-248.0f), 0x80);
  EXPECT_EQ(Float8E5M2FNUZ::encode(kInf), 0x80);
  EXPECT_EQ(Float6E3M2::encode(1e9f), 0x1f);
  EXPECT_EQ(Float6E2M3::encode(-kInf), 0x3f);
  EXPECT_EQ(Float4E2M1::encode(-7.0f), 0xf);
}

TEST(FloatCastsTest, SaturatingKeepsInfinityFinite) {
  EXPECT_EQ(Float8E4M3FN::encode_saturating(kInf), 0x7e);
  EXPECT_EQ(Float8E5M2::encode_saturating(-1e9f), 0xfb);
  EXPECT_EQ(Float8E4M3FNUZ::encode_saturating(-kInf), 0xff);
  EXPECT_EQ(Float8E4M3FN::encode_saturating(kNan), 0x7f);
}

TEST(FloatCastsTest, NanAndZeros) {
  EXPECT_EQ(Float8E4M3FN::encode(kNan), 0x7f);
  EXPECT_EQ(Float8E5M2::encode(kNan), 0x7f);
  EXPECT_EQ(Float8E4M3FNUZ::encode(kNan), 0x80);
  EXPECT_EQ(Float4E2M1::encode(-kNan), 0x7);
  EXPECT_TRUE(std::isnan(Float8E4M3FN::decode(0xff)));
  EXPECT_TRUE(std::isnan(Float8E5M2::decode(0x7d)));
  EXPECT_EQ(Float8E5M2::decode(0xfc), -kInf);
  EXPECT_TRUE(std::isnan(Float8E5M2FNUZ::decode(0x80)));
  EXPECT_EQ(Float8E4M3FN::encode(-0.0f), 0x80);
  EXPECT_EQ(Float8E4M3FNUZ::encode(-0.0f), 0x00);
  EXPECT_EQ(Float8E4M3FNUZ::encode(-1e-9f), 0x00);
  EXPECT_TRUE(std::signbit(Float8E4M3FN::decode(0x80)));
}

TEST(FloatCastsTest, PowersOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const auto bits = static_cast<std::uint8_t>(code);
    const float value = std::ldexp(1.0f, code - 127);
    EXPECT_EQ(float8_e8m0_to_float(bits), value);
    EXPECT_EQ(float_to_float8_e8m0(-value), bits);
    EXPECT_EQ(float_to_float8_e8m0_floor(value), bits);
    EXPECT_EQ(float_to_float8_e8m0_ceil(value), bits);
    if (code == 0) continue;
    EXPECT_EQ(float_to_float8_e8m0(1.5f * value), bits + 1);
    const float below = std::nextafter(value, 0.0f);
    const float above = std::nextafter(value, kInf);
    EXPECT_EQ(float_to_float8_e8m0(below), bits);
    EXPECT_EQ(float_to_float8_e8m0_floor(below), bits - 1);
    EXPECT_EQ(float_to_float8_e8m0_ceil(below), bits);
    EXPECT_EQ(float_to_float8_e8m0_floor(above), bits);
    EXPECT_EQ(float_to_float8_e8m0_ceil(above), bits + 1);
  }
  EXPECT_EQ(float_to_float8_e8m0(0.0f), 0);
  EXPECT_EQ(float_to_float8_e8m0_ceil(1e-45f), 0);
  EXPECT_EQ(float_to_float8_e8m0(kInf), 0xff);
  EXPECT_EQ(float_to_float8_e8m0_ceil(kNan), 0xff);
  EXPECT_TRUE(std::isnan(float8_e8m0_to_float(0xff)));
}

TEST(FloatCastsTest, SixteenBitTypesRoundTrip) {
  for (int code = 0; code < 0x10000; ++code) {
    const auto bits = static_cast<std::uint16_t>(code);
    const float bf16 = bfloat16_to_float(bits);
    const float fp16 = float16_to_float(bits);
    if (!std::isnan(bf16)) {
      EXPECT_EQ(float_to_bfloat16(bf16), bits);
    }
    if (std::isnan(fp16)) {
      EXPECT_EQ(float_to_float16(fp16), (bits & 0x8000) | 0x7e00);
    } else {
      EXPECT_EQ(float_to_float16(fp16), bits);
    }
  }
}

}  // namespace
}  // namespace mantissa
