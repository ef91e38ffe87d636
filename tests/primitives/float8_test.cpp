#include <mantissa/primitives/float8.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

namespace mantissa {
namespace {

using ::testing::HasSubstr;

HostTensor tensor(Shape shape, const std::vector<float>& values) {
  HostTensor out(DType::Float32, std::move(shape));
  std::copy(values.begin(), values.end(), out.as<float>());
  return out;
}

TEST(Float8Test, ScaleIsRoundedToTheInputsDtype) {
  const Float8ScaleOptions options;
  EXPECT_EQ(float8_scale(1.0f, DType::Float32, options), 1.0f / 448.0f);
  EXPECT_EQ(float8_scale(1.0f, DType::BFloat16, options),
            bfloat16_to_float(float_to_bfloat16(1.0f / 448.0f)));
  EXPECT_EQ(float8_scale(1.0f, DType::Float16, options),
            float16_to_float(float_to_float16(1.0f / 448.0f)));
}

TEST(Float8Test, BoundsClampTheMagnitude) {
  Float8ScaleOptions options;
  options.hp_value_lb = 4.48;
  options.hp_value_ub = 448.0;
  EXPECT_EQ(float8_scale(0.0f, DType::Float32, options), 4.48f / 448.0f);
  EXPECT_EQ(float8_scale(1e9f, DType::Float32, options), 1.0f);
  EXPECT_TRUE(std::isnan(float8_scale(
      std::numeric_limits<float>::quiet_NaN(), DType::Float32, options)));
}

TEST(Float8Test, PowerOfTwoScaleMayBeBelow) {
  Float8ScaleOptions options;
  options.scale_dtype = DType::Float8E8M0FNU;
  EXPECT_EQ(float8_scale(448.0f * 1.25f, DType::Float32, options), 1.0f);
  EXPECT_EQ(float8_scale(448.0f * 1.5f, DType::Float32, options), 2.0f);
  EXPECT_EQ(float8_scale(0.0f, DType::Float32, options), 0x1p-126f);
}

TEST(Float8Test, ZeroBlockHasZeroCodes) {
  const HostTensor x = tensor({2, 4}, {0, 0, 0, 0, 1, 2, 3, 4});
  const HostTensor scale = choose_scale_float8(x.view(), {1, 4}, {});
  EXPECT_EQ(scale.as<float>()[0], 0x1p-126f);
  const HostTensor q =
      quantize_affine_float8(x.view(), scale.view(), DType::Float8E4M3FN);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(q.as<std::uint8_t>()[i], 0);
  EXPECT_EQ(q.as<std::uint8_t>()[7], 0x7e);
}

TEST(Float8Test, BlocksAndExpandedScales) {
  const HostTensor x = tensor({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const HostTensor blocks = choose_scale_float8(x.view(), {2, 2}, {});
  ASSERT_EQ(blocks.shape(), (Shape{1, 2}));
  EXPECT_EQ(blocks.as<float>()[0], 6.0f / 448.0f);
  EXPECT_EQ(blocks.as<float>()[1], 8.0f / 448.0f);
  const HostTensor one = tensor({1}, {1.0f});
  const HostTensor q =
      quantize_affine_float8(x.view(), one.view(), DType::Float8E5M2);
  const HostTensor back =
      dequantize_affine_float8(q.view(), one.view(), DType::Float32);
  EXPECT_EQ(back.as<float>()[4], 5.0f);
}

TEST(Float8Test, MessagesNameTheArgument) {
  const auto message = [](const auto& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "no error";
  };
  const HostTensor x = tensor({2, 4}, std::vector<float>(8));
  const HostTensor codes(DType::Int8, {2, 4});
  EXPECT_THAT(message([&] { choose_scale_float8(x.view(), {3, 4}, {}); }),
              HasSubstr("block_size"));
  EXPECT_THAT(message([&] { choose_scale_float8(codes.view(), {1, 4}, {}); }),
              HasSubstr("x: expected float32"));
  EXPECT_THAT(message([&] {
                choose_scale_float8(
                    x.view(), {1, 4}, {.scale_dtype = DType::BFloat16});
              }),
              HasSubstr("scale_dtype"));
  EXPECT_THAT(
      message([&] { quantize_affine_float8(x.view(), x.view(), DType::Int8); }),
      HasSubstr("float8_dtype"));
  const HostTensor three = tensor({3}, {1, 1, 1});
  EXPECT_THAT(message([&] {
                quantize_affine_float8(
                    x.view(), three.view(), DType::Float8E4M3FN);
              }),
              HasSubstr("scale: expected one element"));
  EXPECT_THAT(message([&] {
                dequantize_affine_float8(
                    codes.view(), three.view(), DType::Float32);
              }),
              HasSubstr("float8"));
}

// In range, the error is at most half a step of the code: 2^-4 of the value,
// or half the smallest subnormal times the scale.
RC_GTEST_PROP(Float8Test, ErrorIsAtMostHalfAStep, ()) {
  const auto integers = *rc::gen::container<std::vector<int>>(
      8, rc::gen::inRange(-100000, 100000));
  std::vector<float> values;
  for (const int i : integers) values.push_back(static_cast<float>(i) / 7.0f);
  const HostTensor x = tensor({1, 8}, values);
  const HostTensor scale = choose_scale_float8(x.view(), {1, 8}, {});
  const HostTensor q =
      quantize_affine_float8(x.view(), scale.view(), DType::Float8E4M3FN);
  const HostTensor back =
      dequantize_affine_float8(q.view(), scale.view(), DType::Float32);
  const float s = scale.as<float>()[0];
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float bound = std::max(std::fabs(values[i]) / 16.0f, s * 0x1p-10f);
    RC_ASSERT(std::fabs(back.as<float>()[i] - values[i]) <= bound * 1.0001f);
  }
}

// Values of the grid come back exactly, whatever the power of two.
RC_GTEST_PROP(Float8Test, GridValuesComeBack, ()) {
  const auto codes = *rc::gen::container<std::vector<std::uint8_t>>(
      16, rc::gen::inRange<std::uint8_t>(0, 0x7f));
  const int power = *rc::gen::inRange(-40, 40);
  std::vector<float> values = {std::ldexp(448.0f, power)};
  for (const std::uint8_t code : codes) {
    values.push_back(std::ldexp(-Float8E4M3FN::decode(code), power));
  }
  const HostTensor x = tensor({1, 17}, values);
  const HostTensor scale = choose_scale_float8(x.view(), {1, 17}, {});
  RC_ASSERT(scale.as<float>()[0] == std::ldexp(1.0f, power));
  const HostTensor q =
      quantize_affine_float8(x.view(), scale.view(), DType::Float8E4M3FN);
  const HostTensor back =
      dequantize_affine_float8(q.view(), scale.view(), DType::Float32);
  for (std::size_t i = 0; i < values.size(); ++i) {
    RC_ASSERT(back.as<float>()[i] == values[i]);
  }
}

}  // namespace
}  // namespace mantissa
