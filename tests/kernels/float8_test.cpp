#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/convert.h>

#include "kernels/absmax_runs.h"
#include "kernels/quantize_float8.h"

namespace mantissa::kernels {
namespace {

constexpr DType kDTypes[] = {DType::Float32, DType::BFloat16, DType::Float16};
constexpr std::int64_t kRuns[] = {
    1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130, 576};

// Normal numbers with an outlier, zeros, subnormals and, if wanted, NaN and
// infinities.
HostTensor make_values(DType dtype, std::int64_t count, bool nonfinite) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal(0.0f, 0.02f);
  HostTensor x(DType::Float32, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    float value = normal(random);
    if (i % 11 == 3) value = -0.0f;
    if (i % 37 == 5) value *= 1e4f;
    if (i % 23 == 9) value *= 1e-38f;
    if (nonfinite && i % 101 == 60) {
      value = std::numeric_limits<float>::infinity();
    }
    if (nonfinite && i % 301 == 77) {
      value = -std::numeric_limits<float>::quiet_NaN();
    }
    x.as<float>()[i] = value;
  }
  return converted(x.view(), dtype);
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(AbsmaxRunsTest, EveryKernelEqualsTheReference) {
  for (const DType dtype : kDTypes) {
    const AbsmaxRunsProblem problem{dtype};
    for (const std::int64_t run : kRuns) {
      const std::int64_t runs = 300;
      const HostTensor x = make_values(dtype, run * runs + 1, true);
      // One element in: a start that no vector is aligned to.
      const std::byte* start = x.data() + bit_width(dtype) / 8;
      std::vector<float> expected(static_cast<std::size_t>(runs));
      run_absmax_runs_ref(problem, {start, run, runs, expected.data()});
      for (const AbsmaxRunsKernel& kernel : absmax_runs_kernels()) {
        if (kernel.refuses(problem, host_caps()) != nullptr) continue;
        std::vector<float> out(expected.size());
        kernel.run(problem, {start, run, runs, out.data()});
        EXPECT_TRUE(same_bytes(out, expected))
            << kernel.name << " " << name(dtype) << " run " << run;
      }
    }
  }
}

TEST(AbsmaxRunsTest, ReferenceFindsTheLargestMagnitude) {
  const float values[] = {0.5f, -2.0f, 1.0f, -0.0f, 0.0f, NAN, 7.0f, 8.0f};
  HostTensor x(DType::Float32, {8});
  std::memcpy(x.data(), values, sizeof(values));
  std::vector<float> out(3);
  run_absmax_runs_ref({DType::Float32}, {x.data(), 3, 2, out.data()});
  EXPECT_EQ(out[0], 2.0f);
  EXPECT_TRUE(std::isnan(out[1]));
  run_absmax_runs_ref({DType::Float32}, {x.data() + 12, 2, 1, out.data()});
  EXPECT_EQ(out[0], 0.0f);
  EXPECT_FALSE(std::signbit(out[0]));
}

TEST(QuantizeFloat8Test, EveryKernelEqualsTheReference) {
  for (const DType dtype : kDTypes) {
    for (const DType float8 : {DType::Float8E4M3FN,
                               DType::Float8E5M2,
                               DType::Float8E4M3FNUZ,
                               DType::Float8E5M2FNUZ}) {
      const QuantizeFloat8Problem problem{dtype, float8};
      for (const std::int64_t run : kRuns) {
        const std::int64_t runs = 40;
        const HostTensor x = make_values(dtype, run * runs, true);
        std::vector<float> scale;
        for (std::int64_t r = 0; r < runs; ++r) {
          scale.push_back(std::ldexp(1.37f, static_cast<int>(r % 30) - 24));
        }
        scale[7] = 0x1p-126f;
        std::vector<std::uint8_t> expected(
            static_cast<std::size_t>(run * runs));
        run_quantize_float8_ref(
            problem, {x.data(), scale.data(), run, runs, expected.data()});
        for (const QuantizeFloat8Kernel& kernel : quantize_float8_kernels()) {
          if (kernel.refuses(problem, host_caps()) != nullptr) continue;
          std::vector<std::uint8_t> out(expected.size());
          kernel.run(problem, {x.data(), scale.data(), run, runs, out.data()});
          EXPECT_TRUE(same_bytes(out, expected))
              << kernel.name << " " << name(dtype) << " to " << name(float8)
              << " run " << run;
        }
      }
    }
  }
}

// All finite values of bfloat16 under one scale: ties and subnormals included.
TEST(QuantizeFloat8Test, AllBfloat16Values) {
  HostTensor x(DType::BFloat16, {0x10000});
  for (int i = 0; i < 0x10000; ++i) {
    x.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(i);
  }
  const float scale = 1.0f;
  const QuantizeFloat8Problem problem{};
  std::vector<std::uint8_t> expected(0x10000);
  run_quantize_float8_ref(problem,
                          {x.data(), &scale, 0x10000, 1, expected.data()});
  EXPECT_EQ(expected[0x3f80], 0x38);  // 1.0
  EXPECT_EQ(expected[0x7f7f], 0x7e);  // saturated
  EXPECT_EQ(expected[0x7f80], 0x7e);  // infinity too
  for (const QuantizeFloat8Kernel& kernel : quantize_float8_kernels()) {
    if (kernel.refuses(problem, host_caps()) != nullptr) continue;
    std::vector<std::uint8_t> out(expected.size());
    kernel.run(problem, {x.data(), &scale, 0x10000, 1, out.data()});
    EXPECT_TRUE(same_bytes(out, expected)) << kernel.name;
  }
}

}  // namespace
}  // namespace mantissa::kernels
