#include "kernels/quantize_int4.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/convert.h>

namespace mantissa::kernels {
namespace {

struct Result {
  std::vector<std::uint8_t> codes;
  std::vector<float> scale;
  std::vector<float> zero;
};

// Rounds to the nearest value of a dtype through the bits, as the hardware of
// that dtype would.
double rounded(DType dtype, double value) {
  HostTensor in(DType::Float32, {1});
  in.as<float>()[0] = static_cast<float>(value);
  return converted(converted(in.view(), dtype).view(), DType::Float32)
      .as<float>()[0];
}

// One group by the formulas. Every operation is done in fp64 and rounded to
// `step`: exact, since fp64 has more than twice the digits of each.
void oracle_group(const QuantizeInt4Problem& problem,
                  const std::vector<double>& x,
                  Result& out) {
  const DType step =
      problem.rule == Int4Rule::Tinygemm ? problem.dtype : DType::Float32;
  const auto r = [&](double value) { return rounded(step, value); };
  const double mn = *std::min_element(x.begin(), x.end());
  const double mx = *std::max_element(x.begin(), x.end());
  double scale = 0;
  double zero = 0;
  double offset = 0;
  double low = 0;
  if (problem.rule == Int4Rule::Asymmetric) {
    scale = r(std::max<double>(r(mx - mn), 1e-6f) / 15);
    zero = r(mn + r(scale * 8));
    offset = mn;
  } else if (problem.rule == Int4Rule::Symmetric) {
    scale = std::max<double>(std::max(-mn, mx), 1e-6f) / 8;
    low = -8;
  } else {
    const double eps = step == DType::Float16 ? 0x1p-14 : 0x1p-126;
    scale = std::max(r(r(mx - mn) / 15), eps);
    zero = r(mn + r(scale * 8));
    offset = r(zero - r(scale * 8));
  }
  out.scale.push_back(static_cast<float>(scale));
  out.zero.push_back(static_cast<float>(zero));
  for (const double value : x) {
    double code = std::nearbyint(r(r(value - offset) / scale));
    code = std::clamp(code, low, low + 15);
    out.codes.push_back(static_cast<std::uint8_t>(code - low));
  }
}

std::vector<double> values(const HostTensor& x) {
  const HostTensor wide = converted(x.view(), DType::Float32);
  return {wide.as<float>(), wide.as<float>() + wide.numel()};
}

Result oracle(const QuantizeInt4Problem& problem, const HostTensor& x) {
  Result out;
  const std::vector<double> all = values(x);
  const auto size = static_cast<std::size_t>(problem.group_size);
  for (std::size_t at = 0; at < all.size(); at += size) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
    oracle_group(
        problem, {begin, begin + static_cast<std::ptrdiff_t>(size)}, out);
  }
  return out;
}

Result run(const QuantizeInt4Kernel& kernel,
           const QuantizeInt4Problem& problem,
           const HostTensor& x) {
  const std::int64_t groups = x.numel() / problem.group_size;
  Result out;
  out.codes.resize(static_cast<std::size_t>(x.numel()));
  out.scale.resize(static_cast<std::size_t>(groups));
  out.zero.resize(static_cast<std::size_t>(groups));
  kernel.run(
      problem,
      {x.data(), groups, out.codes.data(), out.scale.data(), out.zero.data()});
  return out;
}

// Groups of every kind: random, zero, constant, one outlier, subnormal, ties,
// huge, one sign only.
HostTensor sample(DType dtype, std::int64_t group_size, std::int64_t groups) {
  HostTensor wide(DType::Float32, {groups, group_size});
  std::mt19937 engine(20240607);
  std::normal_distribution<float> normal(0.0f, 0.02f);
  for (std::int64_t g = 0; g < groups; ++g) {
    float* x = wide.as<float>() + g * group_size;
    for (std::int64_t i = 0; i < group_size; ++i) x[i] = normal(engine);
    const auto each = [&](auto&& f) {
      for (std::int64_t i = 0; i < group_size; ++i) x[i] = f(i, x[i]);
    };
    switch (g % 9) {
      case 1:
        each([](auto, float) { return 0.0f; });
        break;
      case 2:
        each([](auto, float) { return -3.7f; });
        break;
      case 3:
        x[group_size / 2] = 600.0f;
        break;
      case 4:
        each([](auto i, float) { return 6e-8f * float(i % 5); });
        break;
      case 5:
        each([](auto i, float) { return float(i % 31) * 0.5f; });
        break;
      case 6:
        each([](auto, float v) { return v * 2e5f; });
        break;
      case 7:
        each([](auto, float v) { return std::abs(v) + 0.1f; });
        break;
      case 8:
        each([](auto, float v) { return -std::abs(v); });
        break;
      default:
        break;
    }
  }
  return converted(wide.view(), dtype);
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  for (const float value : values) {
    out.push_back(std::bit_cast<std::uint32_t>(value));
  }
  return out;
}

class QuantizeInt4Test
    : public testing::TestWithParam<std::tuple<DType, Int4Rule>> {};

TEST_P(QuantizeInt4Test, EveryKernelEqualsTheOracle) {
  const auto [dtype, rule] = GetParam();
  int usable = 0;
  for (const std::int64_t group_size : {2, 8, 24, 32, 64, 128, 256}) {
    const QuantizeInt4Problem problem{dtype, group_size, rule};
    for (const std::int64_t groups : {1, 63, 130}) {
      const HostTensor x = sample(dtype, group_size, groups);
      const Result expected = oracle(problem, x);
      for (const QuantizeInt4Kernel& kernel : quantize_int4_kernels()) {
        if (kernel.refuses(problem, host_caps()) != nullptr) continue;
        ++usable;
        SCOPED_TRACE(std::string(kernel.name) + " g" +
                     std::to_string(group_size) + " groups " +
                     std::to_string(groups));
        const Result found = run(kernel, problem, x);
        ASSERT_EQ(bits(found.scale), bits(expected.scale));
        ASSERT_EQ(found.codes, expected.codes);
        for (std::size_t g = 0; g < found.zero.size(); ++g) {
          ASSERT_EQ(found.zero[g], expected.zero[g]) << "group " << g;
        }
      }
    }
  }
  EXPECT_GE(usable, 21);  // the reference runs everywhere
}

TEST_P(QuantizeInt4Test, ErrorIsAtMostHalfAStep) {
  const auto [dtype, rule] = GetParam();
  const QuantizeInt4Problem problem{dtype, 32, rule};
  const HostTensor x = sample(dtype, 32, 90);
  const Result found = run(select_quantize_int4(problem), problem, x);
  const std::vector<double> exact = values(x);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double scale = found.scale[i / 32];
    const double zero = found.zero[i / 32];
    const double back = (found.codes[i] - 8.0) * scale + zero;
    // The symmetric grid ends at +7 steps: the largest value may lose one.
    const bool clipped = rule == Int4Rule::Symmetric && found.codes[i] == 15;
    // Rounded steps: the offset, the difference (up to 15 steps) and the zero
    // point each lose at most one unit of the arithmetic's last place.
    const double eps = rule != Int4Rule::Tinygemm ? 0x1p-23
                       : dtype == DType::BFloat16 ? 0x1p-7
                       : dtype == DType::Float16  ? 0x1p-10
                                                  : 0x1p-23;
    const double slack =
        eps * (2 * std::abs(zero) + 2 * std::abs(exact[i]) + 40 * scale);
    const double bound = (clipped ? 1.0 : 0.5) * scale + slack;
    ASSERT_LE(std::abs(back - exact[i]), bound) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         QuantizeInt4Test,
                         testing::Combine(testing::Values(DType::BFloat16,
                                                          DType::Float16,
                                                          DType::Float32),
                                          testing::Values(Int4Rule::Asymmetric,
                                                          Int4Rule::Symmetric,
                                                          Int4Rule::Tinygemm)));

TEST(QuantizeInt4KernelsTest, RefusalsNameTheirReason) {
  const Caps none;
  const Caps all{true, true, true, true};
  const auto kernels = quantize_int4_kernels();
  EXPECT_STREQ(kernels[0].refuses({}, none), "needs AVX-512");
  EXPECT_STREQ(kernels[1].refuses({}, none), "needs AVX2");
  EXPECT_EQ(kernels[2].refuses({}, none), nullptr);
  EXPECT_STREQ(kernels[0].refuses({DType::BFloat16, 24}, all),
               "group_size must be a multiple of 16");
  EXPECT_STREQ(kernels[1].refuses({DType::BFloat16, 2}, all),
               "group_size must be a multiple of 8");
}

}  // namespace
}  // namespace mantissa::kernels
