#include <mantissa/primitives/hqq.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "primitives/hqq_solver.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

HostTensor random_weight(Shape shape, float spread, unsigned seed = 3) {
  HostTensor w(DType::Float32, std::move(shape));
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, spread);
  for (std::int64_t i = 0; i < w.numel(); ++i)
    w.as<float>()[i] = normal(engine);
  return w;
}

std::vector<float> floats(const HostTensor& tensor) {
  const HostTensor wide = converted(tensor.view(), DType::Float32);
  return {wide.as<float>(), wide.as<float>() + wide.numel()};
}

// Sum of |w - dequantized| over the tensor, axis 1, in fp64.
double error(const HostTensor& w, const HqqResult& found, const HqqArgs& args) {
  const std::vector<float> scale = floats(found.scale);
  const std::vector<float> zero = floats(found.zero_point);
  const double mid = 1 << (args.nbits - 1);
  double sum = 0.0;
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    const auto g = static_cast<std::size_t>(i / args.group_size);
    const double code = found.codes.as<std::uint8_t>()[i];
    const double back = args.form == HqqForm::Raw
                            ? (code - zero[g]) * scale[g]
                            : (code - mid) * scale[g] + zero[g];
    sum += std::abs(back - w.as<float>()[i]);
  }
  return sum;
}

template <class Act>
std::string message(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(HqqTest, BothFormsMeanTheSameWeights) {
  const HostTensor w = random_weight({16, 128}, 0.05f);
  HqqArgs args{.group_size = 64, .compute_dtype = DType::Float32};
  const HqqResult tinygemm =
      choose_qparams_and_quantize_affine_hqq(w.view(), args);
  const double first = error(w, tinygemm, args);
  args.form = HqqForm::Raw;
  const HqqResult raw = choose_qparams_and_quantize_affine_hqq(w.view(), args);
  EXPECT_EQ(tinygemm.scale.shape(), (Shape{32, 1}));
  EXPECT_EQ(raw.scale.shape(), (Shape{16, 2}));
  EXPECT_NEAR(first, error(w, raw, args), 1e-4 * first);
}

TEST(HqqTest, SolvingLowersTheError) {
  for (const int bits : {2, 3, 4}) {
    const HostTensor w = random_weight({64, 256}, 0.05f);
    HqqArgs args{.nbits = bits, .compute_dtype = DType::Float32};
    const double solved =
        error(w, choose_qparams_and_quantize_affine_hqq(w.view(), args), args);
    args.iterations = 0;
    const double plain =
        error(w, choose_qparams_and_quantize_affine_hqq(w.view(), args), args);
    EXPECT_LT(solved, plain) << bits << " bits";
  }
}

TEST(HqqTest, ConstantGroupsComeBack) {
  for (const float value : {0.0f, 0.01f, -5.25f, 3000.0f, -2e35f}) {
    for (const HqqForm form : {HqqForm::Raw, HqqForm::Tinygemm}) {
      HostTensor w(DType::Float32, {2, 64});
      for (int i = 0; i < 128; ++i) w.as<float>()[i] = value;
      const HqqArgs args{.compute_dtype = DType::Float32, .form = form};
      const HqqResult found =
          choose_qparams_and_quantize_affine_hqq(w.view(), args);
      // The step of a group without a range is 1 / 2e4.
      const double bound = 5e-5 + 0x1p-21 * std::abs(value);
      EXPECT_LE(error(w, found, args) / 128, bound) << value;
    }
  }
}

TEST(HqqTest, ZeroPointThatFloat16CannotHoldMakesAConstantGroup) {
  HostTensor w(DType::Float32, {1, 64});
  for (int i = 0; i < 64; ++i) w.as<float>()[i] = 5.25f;
  const HqqArgs args{.compute_dtype = DType::Float16, .form = HqqForm::Raw};
  const HqqResult found =
      choose_qparams_and_quantize_affine_hqq(w.view(), args);
  EXPECT_EQ(error(w, found, args), 0.0);
  EXPECT_EQ(floats(found.zero_point)[0], -5.25f);
}

TEST(HqqTest, GroupsAcrossMemoryAreTheTransposedGroups) {
  const HostTensor w = random_weight({64, 8}, 0.05f);
  HostTensor turned(DType::Float32, {8, 64});
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 8; ++j) {
      turned.as<float>()[j * 64 + i] = w.as<float>()[i * 8 + j];
    }
  }
  // One iteration: the means are summed in another order, by a unit or two.
  const HqqArgs along{.iterations = 1, .compute_dtype = DType::Float32};
  HqqArgs across = along;
  across.axis = 0;
  const HqqResult a =
      choose_qparams_and_quantize_affine_hqq(turned.view(), along);
  const HqqResult b = choose_qparams_and_quantize_affine_hqq(w.view(), across);
  EXPECT_EQ(b.scale.shape(), (Shape{1, 8}));
  EXPECT_EQ(floats(a.scale), floats(b.scale));
  for (int i = 0; i < 64; ++i) {
    for (int j = 0; j < 8; ++j) {
      EXPECT_EQ(a.codes.as<std::uint8_t>()[j * 64 + i],
                b.codes.as<std::uint8_t>()[i * 8 + j]);
    }
  }
}

TEST(HqqTest, StopsWhenTheErrorDoesNotFall) {
  HqqSchedule schedule;
  schedule.finish_iteration(50.0, 100);
  EXPECT_TRUE(schedule.running());
  schedule.finish_iteration(49.0, 100);
  EXPECT_TRUE(schedule.running());
  schedule.finish_iteration(49.0, 100);
  EXPECT_FALSE(schedule.running());
  HqqSchedule few(2);
  few.finish_iteration(3.0, 1);
  few.finish_iteration(2.0, 1);
  EXPECT_FALSE(few.running());
}

TEST(HqqTest, BetaGrows) {
  HqqBeta beta;
  EXPECT_EQ(beta.inverse(), 0.1f);
  beta.grow();
  EXPECT_FLOAT_EQ(beta.inverse(), 1.0f / 10.1f);
}

// Narrow groups stand still after a few iterations; in wide ones beta counts,
// and they move to the end.
TEST(HqqTest, IterationsOfAGroupAreItsStepsInTurn) {
  std::size_t fewest = 20;
  std::size_t most = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const float spread = seed % 3 == 0 ? 30.0f : seed % 3 == 1 ? 1.0f : 0.02f;
    const HostTensor w = random_weight({1, 64}, spread, seed);
    const std::span<const float> values(w.as<float>(), 64);
    const auto [min, max] = std::ranges::minmax(values);
    const HqqGroup start = hqq_start(min, max, 4);
    std::vector<float> work;
    std::vector<double> want(20, 1.0);  // what other groups have added
    std::vector<double> found = want;
    HqqGroup stepped = start;
    HqqBeta beta;
    for (double& error : want) {
      error += hqq_step(values,
                        15.0f,
                        beta.inverse(),
                        HqqSumOrder::Inner,
                        stepped,
                        work)
                   .error;
      beta.grow();
    }
    HqqGroup group = start;
    const std::size_t moved =
        hqq_iterate(values, 15.0f, HqqSumOrder::Inner, group, found, work);
    EXPECT_EQ(group.scale, stepped.scale);
    EXPECT_EQ(group.zero, stepped.zero) << seed;
    EXPECT_EQ(found, want) << seed;
    fewest = std::min(fewest, moved);
    most = std::max(most, moved);
  }
  EXPECT_LT(fewest, 5u);
  EXPECT_EQ(most, 20u);
}

TEST(HqqTest, RefusesWhatDoesNotFit) {
  const HostTensor w = random_weight({4, 64}, 1.0f);
  const auto refusal = [&](HqqArgs args) {
    return message(
        [&] { choose_qparams_and_quantize_affine_hqq(w.view(), args); });
  };
  EXPECT_THAT(refusal({.nbits = 9}),
              HasSubstr("nbits: expected 1 to 8, got 9"));
  EXPECT_THAT(refusal({.group_size = 60}),
              HasSubstr("expected a divisor of the 256 elements of [4, 64]"));
  EXPECT_THAT(refusal({.axis = 2}), HasSubstr("axis: expected 0 or 1"));
  EXPECT_THAT(refusal({.iterations = -1}), HasSubstr("iterations"));
  EXPECT_THAT(refusal({.compute_dtype = DType::Int8}),
              HasSubstr("compute_dtype"));
  EXPECT_THAT(refusal({.group_size = 128, .form = HqqForm::Raw}),
              HasSubstr("2 groups do not fill the raw form's 4 rows"));
}

}  // namespace
}  // namespace mantissa
