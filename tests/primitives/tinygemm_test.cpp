#include <mantissa/primitives/tinygemm.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

using ::testing::HasSubstr;

HostTensor tensor(Shape shape, const std::vector<float>& values) {
  HostTensor out(DType::Float32, std::move(shape));
  std::copy(values.begin(), values.end(), out.as<float>());
  return out;
}

template <class Act>
std::string message(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(TinygemmTest, FollowsTheFormula) {
  const HostTensor x = tensor({1, 8}, {-1, 0.5, 2, 0, 3, 3, 3, 3});
  const Shape block = {1, 4};
  const QParams q =
      choose_qparams_affine_tinygemm(x.view(), block, DType::UInt4);
  EXPECT_EQ(q.scale.shape(), (Shape{1, 2}));
  EXPECT_FLOAT_EQ(q.scale.as<float>()[0], 0.2f);
  EXPECT_FLOAT_EQ(q.zero_point.as<float>()[0], 0.6f);
  EXPECT_EQ(q.scale.as<float>()[1], 0x1p-126f);
  EXPECT_EQ(q.zero_point.as<float>()[1], 3.0f);
  const QParamsView view{q.scale.view(), q.zero_point.view()};
  const HostTensor codes =
      quantize_affine_tinygemm(x.view(), block, view, DType::UInt4);
  EXPECT_EQ(codes.dtype(), DType::UInt8);
  const std::vector<int> found(codes.as<std::uint8_t>(),
                               codes.as<std::uint8_t>() + 8);
  EXPECT_EQ(found, (std::vector<int>{0, 8, 15, 5, 0, 0, 0, 0}));
  const HostTensor back =
      dequantize_affine_tinygemm(codes.view(), block, view, DType::UInt4);
  EXPECT_FLOAT_EQ(back.as<float>()[2], 2.0f);
  EXPECT_EQ(back.as<float>()[4], 3.0f);  // a constant group is exact
}

TEST(TinygemmTest, RoundTripErrorIsAtMostHalfAStep) {
  const bool holds = rc::check("|dequantize(quantize(x)) - x| <= scale/2", [] {
    const auto values = *rc::gen::container<std::vector<float>>(
        32, rc::gen::map(rc::gen::inRange(-100000, 100000), [](int v) {
          return static_cast<float>(v) * 1e-3f;
        }));
    const HostTensor x = tensor({2, 16}, values);
    const Shape block = {1, 16};
    const QParams q =
        choose_qparams_affine_tinygemm(x.view(), block, DType::UInt4);
    const QParamsView view{q.scale.view(), q.zero_point.view()};
    const HostTensor back = dequantize_affine_tinygemm(
        quantize_affine_tinygemm(x.view(), block, view, DType::UInt4).view(),
        block,
        view,
        DType::UInt4);
    for (std::size_t i = 0; i < 32; ++i) {
      const double scale = q.scale.as<float>()[i / 16];
      const double slack = 4 * 0x1p-23 * (std::abs(values[i]) + 16 * scale);
      RC_ASSERT(std::abs(back.as<float>()[i] - double{values[i]}) <=
                0.5 * scale + slack);
    }
  });
  EXPECT_TRUE(holds);
}

TEST(TinygemmTest, RefusesWhatDoesNotFit) {
  const HostTensor x = tensor({1, 8}, {0, 1, 2, 3, 4, 5, 6, 7});
  const QParams q =
      choose_qparams_affine_tinygemm(x.view(), {1, 4}, DType::UInt4);
  const HostTensor codes(DType::Int8, {1, 8});
  EXPECT_THAT(message(ErrorKind::Usage,
                      [&] {
                        quantize_affine_tinygemm(
                            x.view(), {1, 4}, {q.scale.view()}, DType::UInt4);
                      }),
              HasSubstr("zero_point: expected one float for each of 2 blocks"));
  EXPECT_THAT(
      message(ErrorKind::Usage,
              [&] {
                dequantize_affine_tinygemm(
                    codes.view(), {1, 4}, {q.scale.view()}, DType::UInt4);
              }),
      HasSubstr("input: expected uint8 codes, got int8"));
  EXPECT_THAT(message(ErrorKind::Usage,
                      [&] {
                        choose_qparams_affine_tinygemm(
                            x.view(), {1, 3}, DType::UInt4);
                      }),
              HasSubstr("choose_qparams_affine_tinygemm"));
  x.as<float>()[3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(message(ErrorKind::Input,
                      [&] {
                        choose_qparams_affine_tinygemm(
                            x.view(), {1, 4}, DType::UInt4);
                      }),
              HasSubstr("element 3 is NaN or infinite"));
}

}  // namespace
}  // namespace mantissa
