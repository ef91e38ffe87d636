#include <mantissa/primitives/affine.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include <mantissa/core/error.h>
#include <mantissa/primitives/choose_qparams.h>
#include <mantissa/primitives/dequantize.h>
#include <mantissa/primitives/hqq_scale_only.h>
#include <mantissa/primitives/quantize.h>

#include "primitives_oracle/affine_oracle.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

HostTensor float_tensor(const Shape& shape, const std::vector<float>& values) {
  HostTensor t(DType::Float32, shape);
  std::copy(values.begin(), values.end(), t.as<float>());
  return t;
}

// The message of the Error of this kind that `act` must throw.
template <class Act>
std::string refusal(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

// Finite values of moderate size; 1 to 40 of them.
rc::Gen<std::vector<float>> values() {
  return rc::gen::resize(
      40,
      rc::gen::nonEmpty(rc::gen::container<std::vector<float>>(rc::gen::map(
          rc::gen::inRange(-2000000, 2000000),
          [](int v) { return static_cast<float>(v) * 1.7e-5f; }))));
}

struct Target {
  int qmin;
  int qmax;
};

rc::Gen<Target> targets() {
  return rc::gen::map(rc::gen::inRange(2, 9), [](int bits) {
    return Target{-(1 << (bits - 1)), (1 << (bits - 1)) - 1};
  });
}

constexpr MappingType kMappings[] = {MappingType::Symmetric,
                                     MappingType::SymmetricNoClippingErr,
                                     MappingType::Asymmetric};

rc::Gen<MappingType> mappings() {
  return rc::gen::map(rc::gen::inRange(0, 3),
                      [](int i) { return kMappings[i]; });
}

RC_GTEST_PROP(AffineProperty, QParamsEqualTheOracleWithinRounding, ()) {
  const auto x = *values();
  const auto target = *targets();
  const auto mapping = *mappings();
  const auto n = static_cast<std::int64_t>(x.size());
  const QParams got = choose_qparams_affine(
      float_tensor({n}, x).view(),
      mapping,
      {n},
      DType::Int8,
      {.quant_min = target.qmin, .quant_max = target.qmax});
  const auto want =
      oracle::choose_qparams({x.begin(), x.end()},
                             static_cast<oracle::Mapping>(mapping),
                             target.qmin,
                             target.qmax,
                             0x1p-126);
  const double scale = got.scale.as<float>()[0];
  RC_ASSERT(std::fabs(scale - want.scale) <= want.scale * 0x1p-22);
  // A zero point on the edge of a rounding may go either way.
  RC_ASSERT(std::fabs(got.zero_point.as<std::int32_t>()[0] - want.zero_point) <=
            1.0);
}

RC_GTEST_PROP(AffineProperty, ErrorIsAtMostHalfAStepInRange, ()) {
  const auto x = *values();
  const auto target = *targets();
  const auto mapping = *mappings();
  const auto n = static_cast<std::int64_t>(x.size());
  const HostTensor input = float_tensor({n}, x);
  const QParams q = choose_qparams_affine(
      input.view(),
      mapping,
      {n},
      DType::Int8,
      {.quant_min = target.qmin, .quant_max = target.qmax});
  const QParamsView view{q.scale.view(), q.zero_point.view()};
  const HostTensor codes = quantize_affine(
      input.view(), {n}, view, DType::Int8, {target.qmin, target.qmax});
  const HostTensor back = dequantize_affine(codes.view(), {n}, view);
  const double scale = q.scale.as<float>()[0];
  const double zero = q.zero_point.as<std::int32_t>()[0];
  for (std::int64_t i = 0; i < n; ++i) {
    const double value = x[static_cast<std::size_t>(i)];
    const int code = codes.as<std::int8_t>()[i];
    RC_ASSERT(code >= target.qmin && code <= target.qmax);
    const bool in_range = value <= (target.qmax - zero) * scale &&
                          value >= (target.qmin - zero) * scale;
    // The reciprocal and the product are rounded once each.
    const double bound = scale / 2 + std::fabs(value) * 0x1p-22;
    if (in_range) {
      RC_ASSERT(std::fabs(back.as<float>()[i] - value) <= bound);
    }
  }
}

// 2^8 is the largest scale at which every code stays below the largest half.
RC_GTEST_PROP(AffineProperty, GridValuesComeBack, ()) {
  const auto target = *targets();
  const auto exponent = *rc::gen::inRange(-10, 9);
  const float scale = std::ldexp(1.0f, exponent);
  for (int code = target.qmin; code <= target.qmax; ++code) {
    const float x = static_cast<float>(code) * scale;
    for (const DType dtype :
         {DType::Float32, DType::BFloat16, DType::Float16}) {
      const std::int32_t q = quantize_affine_element(
          x, 1.0f / scale, 0.0f, {target.qmin, target.qmax}, dtype, dtype);
      RC_ASSERT(q == code);
      RC_ASSERT(dequantize_affine_element(
                    static_cast<float>(q), 0.0f, scale, dtype, dtype) == x);
    }
  }
}

TEST(AffineTest, RoundsHalfToEven) {
  for (const auto& [x, want] :
       std::vector<std::pair<float, float>>{{0.5f, 0.0f},
                                            {1.5f, 2.0f},
                                            {2.5f, 2.0f},
                                            {-0.5f, -0.0f},
                                            {-1.5f, -2.0f},
                                            {8388607.5f, 8388608.0f},
                                            {1e30f, 1e30f},
                                            {0.49999997f, 0.0f}}) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(round_half_even(x)),
              std::bit_cast<std::uint32_t>(want))
        << x;
  }
  EXPECT_TRUE(std::isnan(round_half_even(NAN)));
}

TEST(AffineTest, EveryBlockShapeHasItsOwnScale) {
  std::vector<float> x(4 * 6);
  for (int i = 0; i < 24; ++i) x[static_cast<std::size_t>(i)] = i + 1.0f;
  const HostTensor input = float_tensor({4, 6}, x);
  const auto scales = [&](const Shape& block, KeepDims keep) {
    return choose_qparams_affine(input.view(),
                                 MappingType::Symmetric,
                                 block,
                                 DType::Int8,
                                 {.keep_dims = keep})
        .scale;
  };
  EXPECT_EQ(scales({4, 6}, KeepDims::No).shape(), Shape{});
  EXPECT_EQ(scales({4, 6}, KeepDims::Yes).shape(), (Shape{1, 1}));
  EXPECT_EQ(scales({1, 6}, KeepDims::No).shape(), Shape{4});
  EXPECT_EQ(scales({1, 3}, KeepDims::No).shape(), (Shape{4, 2}));
  EXPECT_EQ(scales({4, 1}, KeepDims::No).shape(), Shape{6});
  const HostTensor block = scales({2, 3}, KeepDims::Yes);
  const float want[] = {9.0f, 12.0f, 21.0f, 24.0f};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(block.as<float>()[i], want[i] / 127.5f);
  }
  // Nothing to reduce: one scale per element (torch would reduce everything).
  const HostTensor each = scales({1, 1}, KeepDims::No);
  EXPECT_EQ(each.shape(), (Shape{4, 6}));
  EXPECT_EQ(each.as<float>()[23], 24.0f / 127.5f);
}

TEST(AffineTest, EmptyTensorsAndScalars) {
  const QParams none = choose_qparams_affine(float_tensor({0, 4}, {}).view(),
                                             MappingType::Symmetric,
                                             {1, 4},
                                             DType::Int8);
  EXPECT_EQ(none.scale.shape(), Shape{0});
  const QParams one = choose_qparams_affine(float_tensor({}, {2.55f}).view(),
                                            MappingType::Symmetric,
                                            {},
                                            DType::Int8);
  EXPECT_EQ(one.scale.as<float>()[0], 2.55f / 127.5f);
}

TEST(AffineTest, NonFiniteInputIsRefusedAndCodesSaturate) {
  const HostTensor x = float_tensor({1, 3}, {1.0f, NAN, INFINITY});
  EXPECT_THAT(
      refusal(ErrorKind::Input,
              [&] {
                choose_qparams_affine(
                    x.view(), MappingType::Symmetric, {1, 3}, DType::Int8);
              }),
      HasSubstr("choose_qparams_affine: input: element 1 is nan"));
  const HostTensor scale = float_tensor({1, 1}, {1.0f});
  const HostTensor q = quantize_affine(
      x.view(), {1, 3}, {scale.view(), std::nullopt}, DType::Int4);
  EXPECT_EQ(q.dtype(), DType::Int8);
  EXPECT_EQ(q.as<std::int8_t>()[0], 1);
  EXPECT_EQ(q.as<std::int8_t>()[1], 0);
  EXPECT_EQ(q.as<std::int8_t>()[2], 7);
}

TEST(AffineTest, RefusesArgumentsThatDoNotFit) {
  const HostTensor x = float_tensor({2, 4}, std::vector<float>(8, 1.0f));
  const auto choose = [&](const Shape& block,
                          DType target,
                          const ChooseQParamsOptions& options,
                          MappingType mapping = MappingType::Symmetric) {
    return refusal(ErrorKind::Usage, [&] {
      choose_qparams_affine(x.view(), mapping, block, target, options);
    });
  };
  EXPECT_THAT(choose({1, 3}, DType::Int8, {}),
              HasSubstr("block_size: expected one divisor for each extent of "
                        "[2, 4], got [1, 3]"));
  EXPECT_THAT(choose({4}, DType::Int8, {}), HasSubstr("got [4]"));
  EXPECT_THAT(choose({1, 4}, DType::Float32, {}),
              HasSubstr("expected int1-8, uint1-8, int16 or int32, got "
                        "float32"));
  EXPECT_THAT(choose({1, 4}, DType::Int4, {.quant_min = -9}),
              HasSubstr("expected -8 <= quant_min < quant_max <= 7 for int4, "
                        "got -9 and 7"));
  EXPECT_THAT(choose({1, 4}, DType::Int8, {.scale_dtype = DType::Int8}),
              HasSubstr("scale_dtype: expected float32, bfloat16 or float16"));
  EXPECT_THAT(choose({1, 4}, DType::Int8, {.zero_point_dtype = DType::Bool}),
              HasSubstr("zero_point_dtype: expected"));
  EXPECT_THAT(choose({1, 4}, DType::UInt8, {.zero_point_dtype = DType::Int8}),
              HasSubstr("zero_point_dtype: int8 does not hold 128"));
  EXPECT_THAT(
      choose({1, 4}, DType::UInt8, {}, MappingType::SymmetricNoClippingErr),
      HasSubstr("expected quant_min < 0 < quant_max, got 0 and 255"));
  const HostTensor scale = float_tensor({3}, {1, 1, 1});
  EXPECT_THAT(refusal(ErrorKind::Usage,
                      [&] {
                        quantize_affine(x.view(),
                                        {1, 4},
                                        {scale.view(), std::nullopt},
                                        DType::Int8);
                      }),
              HasSubstr("quantize_affine: scale: expected one value for each "
                        "of 2 blocks, got [3]"));
  EXPECT_THAT(refusal(ErrorKind::Usage,
                      [&] {
                        dequantize_affine(
                            x.view(), {1, 4}, {scale.view(), std::nullopt});
                      }),
              HasSubstr("dequantize_affine: input: expected int8, uint8, int16 "
                        "or int32, got float32"));
  EXPECT_THAT(
      refusal(
          ErrorKind::Usage,
          [&] {
            choose_qparams_affine_with_min_max(
                x.view(), scale.view(), MappingType::Symmetric, DType::Int8);
          }),
      HasSubstr("max_val: expected [2, 4] float32 (as min_val), got "
                "[3] float32"));
}

TEST(HqqScaleOnlyTest, FitsGridValuesExactly) {
  const HostTensor x = float_tensor(
      {1, 8}, {-2.0f, -1.5f, -1.0f, 0.0f, 0.5f, 1.0f, 1.5f, 1.75f});
  const ScaleOnlyHqq r =
      choose_qparams_and_quantize_scale_only_hqq(x.view(), {1, 8}, {-8, 7});
  EXPECT_EQ(r.scale.as<float>()[0], 0.25f);
  const std::int32_t want[] = {-8, -6, -4, 0, 2, 4, 6, 7};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(r.qdata.as<std::int32_t>()[i], want[i]);
}

TEST(HqqScaleOnlyTest, ZeroGroupsAndRefusals) {
  const HostTensor x = float_tensor({1, 4}, {0, 0, 0, 0});
  const ScaleOnlyHqq r =
      choose_qparams_and_quantize_scale_only_hqq(x.view(), {1, 2}, {-8, 7});
  EXPECT_EQ(r.scale.as<float>()[1], 0x1p-23f);
  EXPECT_EQ(r.qdata.as<std::int32_t>()[3], 0);
  EXPECT_THAT(refusal(ErrorKind::Usage,
                      [&] {
                        choose_qparams_and_quantize_scale_only_hqq(
                            x.view(), {1, 3}, {-8, 7});
                      }),
              HasSubstr("expected [1, group] that divides a 2-D input"));
  EXPECT_THAT(
      refusal(ErrorKind::Input,
              [&] {
                choose_qparams_and_quantize_scale_only_hqq(
                    float_tensor({1, 1}, {INFINITY}).view(), {1, 1}, {-8, 7});
              }),
      HasSubstr("input: element 0 is inf"));
}

}  // namespace
}  // namespace mantissa
