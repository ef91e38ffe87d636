#include "kernels/quantize_panels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/guarded_bytes.h"
#include "kernels/lowbit_activations.h"

namespace mantissa::kernels {
namespace {

struct Result {
  std::vector<std::int8_t> codes;
  std::vector<std::int32_t> sums;
  std::vector<std::int32_t> half_sums;
  std::vector<std::uint32_t> scale_bits;

  bool operator==(const Result&) const = default;
};

Result quantized(const QuantizePanelsKernel& kernel,
                 const std::vector<float>& x,
                 std::int64_t m,
                 std::int64_t k,
                 std::int64_t group) {
  // Nothing is read behind the last row.
  const std::size_t bytes = static_cast<std::size_t>(m * k) * sizeof(float);
  const GuardedBytes guarded(bytes);
  std::memcpy(guarded.data(), x.data(), bytes);
  LowbitActivationBuffer buffer;
  buffer.resize(m, k, group, false);
  const QuantizePanelsArgs args =
      buffer.fill_from(reinterpret_cast<const float*>(guarded.data()), k);
  // In two parts.
  kernel.run(args, 0, buffer.panels() / 2);
  kernel.run(args, buffer.panels() / 2, buffer.panels());
  const LowbitActivations view = buffer.view();
  const std::int64_t rows = buffer.panels() * view.panel;
  const std::int64_t groups = (view.k + group - 1) / group;
  Result out;
  out.codes.assign(view.codes, view.codes + rows * view.k);
  out.sums.assign(view.sums, view.sums + rows * view.k / kLowbitChunk);
  out.half_sums.assign(view.half_sums,
                       view.half_sums + rows * view.k / kLowbitHalf);
  out.scale_bits.resize(static_cast<std::size_t>(rows * groups));
  std::memcpy(out.scale_bits.data(),
              view.scales,
              out.scale_bits.size() * sizeof(float));
  return out;
}

std::vector<float> samples(std::int64_t count, float spread) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> real(0.0f, 1.0f);
  std::vector<float> out(static_cast<std::size_t>(count));
  for (float& v : out) v = real(random) * spread;
  return out;
}

// Runs of 32 values in turn: ordinary, 0, -0, denormal, around the least scale
// (127 * 2^-120 = 9.6e-35) on both sides, 0 but for the last.
std::vector<float> uneven_samples(std::int64_t count) {
  std::vector<float> out = samples(count, 1.0f);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float last = i % 32 == 31 ? 1.0f : 0.0f;
    const float factors[] = {1.0f, 0.0f, -0.0f, 1e-41f, 3e-36f, 1e-34f, last};
    out[i] *= factors[i / 32 % std::size(factors)];
  }
  return out;
}

TEST(QuantizePanelsTest, ReferenceRoundsEachValueToTheNearestCode) {
  const std::int64_t k = 100;
  const std::vector<float> x = samples(3 * k, 2.0f);
  LowbitActivationBuffer buffer;
  buffer.resize(3, k, 32, false);
  quantize_panels_kernels().back().run(
      buffer.fill_from(x.data(), k), 0, buffer.panels());
  const LowbitActivations view = buffer.view();
  ASSERT_EQ(view.panel, 4);
  for (std::int64_t i = 0; i < 3; ++i) {
    for (std::int64_t j = 0; j < k; ++j) {
      const double scale = view.scales[j / 32 * 4 + i];
      const int code = view.codes[j / 4 * 16 + i * 4 + j % 4];
      const double value = x[static_cast<std::size_t>(i * k + j)];
      EXPECT_NEAR(code * scale, value, scale * 0.5001) << i << ", " << j;
    }
    for (std::int64_t half = 0; half < 8; ++half) {
      int sum = 0;
      for (std::int64_t j = 16 * half; j < 16 * half + 16; ++j) {
        sum += view.codes[j / 4 * 16 + i * 4 + j % 4];
      }
      EXPECT_EQ(view.half_sums[half * 4 + i], sum) << i << ", " << half;
    }
  }
}

TEST(QuantizePanelsTest, EveryKernelGivesTheBitsOfTheReference) {
  const auto kernels = quantize_panels_kernels();
  for (const QuantizePanelsKernel& kernel : kernels) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const std::int64_t m : {1, 2, 3, 5, 8, 9, 17}) {
      for (const std::int64_t k : {1, 31, 32, 33, 64, 100, 576}) {
        for (const std::int64_t group : {32, 64}) {
          for (const float spread :
               {1.0f, 1e-34f, 3e-36f, 1e-38f, 1e-41f, 1e37f, 0.0f, -0.0f}) {
            const auto x = samples(m * k, spread);
            ASSERT_EQ(quantized(kernel, x, m, k, group),
                      quantized(kernels.back(), x, m, k, group))
                << kernel.name << " m " << m << " k " << k << " group " << group
                << " spread " << spread;
          }
        }
      }
    }
  }
}

TEST(QuantizePanelsTest, EveryKernelAgreesWhereGroupsAreTinyOrZero) {
  const auto kernels = quantize_panels_kernels();
  for (const QuantizePanelsKernel& kernel : kernels) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const std::int64_t m : {1, 3, 9}) {
      for (const std::int64_t k : {33, 256, 600}) {
        for (const std::int64_t group : {32, 64}) {
          const auto x = uneven_samples(m * k);
          ASSERT_EQ(quantized(kernel, x, m, k, group),
                    quantized(kernels.back(), x, m, k, group))
              << kernel.name << " m " << m << " k " << k << " group " << group;
        }
      }
    }
  }
}

TEST(QuantizePanelsTest, TinyGroupsHaveTheLeastScaleAndFiniteCodes) {
  for (const QuantizePanelsKernel& kernel : quantize_panels_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const float value : {0.0f, -0.0f, 1e-45f, 3e-36f}) {
      const std::vector<float> x(64, value);
      LowbitActivationBuffer buffer;
      buffer.resize(1, 64, 32, false);
      kernel.run(buffer.fill_from(x.data(), 64), 0, buffer.panels());
      const LowbitActivations view = buffer.view();
      const auto code =
          static_cast<int>(std::nearbyint(double{value} / 0x1p-120));
      for (int i = 0; i < 64; ++i) EXPECT_EQ(view.codes[i], code) << value;
      for (int g = 0; g < 2; ++g) {
        EXPECT_EQ(view.scales[g], 0x1p-120f) << value;
        EXPECT_EQ(view.sums[g], 32 * code) << value;
      }
    }
  }
}

// The first, the last and two rows of panels of 8, in the first group and in
// the last: what was written of them before is gone.
TEST(QuantizePanelsTest, EveryKernelAgreesWhereRowsAreNotFinite) {
  const auto kernels = quantize_panels_kernels();
  const float bad[] = {std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN()};
  for (const std::int64_t m : {4, 8, 19}) {
    for (const std::int64_t k : {33, 256}) {
      for (const std::int64_t group : {32, 64}) {
        auto x = samples(m * k, 1.0f);
        int i = 0;
        for (const std::int64_t row : {std::int64_t{0}, m / 2, m - 1}) {
          const std::int64_t at = i % 2 == 0 ? k - 1 : 0;
          x[static_cast<std::size_t>(row * k + at)] = bad[i++];
        }
        const Result expected = quantized(kernels.back(), x, m, k, group);
        for (const QuantizePanelsKernel& kernel : kernels) {
          if (kernel.refuses({}, host_caps()) != nullptr) continue;
          ASSERT_EQ(quantized(kernel, x, m, k, group), expected)
              << kernel.name << " m " << m << " k " << k << " group " << group;
        }
      }
    }
  }
}

TEST(QuantizePanelsTest, NonFiniteValuesSpoilTheirRowAlone) {
  const std::int64_t k = 96;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = samples(3 * k, 1.0f);
    x[k + 70] = bad;
    for (const QuantizePanelsKernel& kernel : quantize_panels_kernels()) {
      if (kernel.refuses({}, host_caps()) != nullptr) continue;
      LowbitActivationBuffer buffer;
      buffer.resize(3, k, 32, false);
      kernel.run(buffer.fill_from(x.data(), k), 0, buffer.panels());
      const LowbitActivations view = buffer.view();
      for (int g = 0; g < 3; ++g) {
        EXPECT_TRUE(std::isfinite(view.scales[g * 4]));
        EXPECT_TRUE(std::isnan(view.scales[g * 4 + 1]));
        EXPECT_TRUE(std::isfinite(view.scales[g * 4 + 2]));
        EXPECT_EQ(view.sums[g * 4 + 1], 0);
      }
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
