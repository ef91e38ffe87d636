#include "kernels/dequantize_affine.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/common/load_element.h"
#include "kernels/encode_cases.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kGroups = 4;

std::vector<std::byte> run(const DequantizeAffineKernel& kernel,
                           Element out,
                           DequantizeAffineArgs args) {
  const auto bytes =
      static_cast<std::size_t>(kGroups * args.group * element_bytes(out));
  std::vector<std::byte> result(bytes + 2, std::byte{0x5a});
  args.out = result.data() + 1;
  kernel.run(out, args);
  EXPECT_EQ(result.front(), std::byte{0x5a}) << kernel.name;
  EXPECT_EQ(result.back(), std::byte{0x5a}) << kernel.name;
  return result;
}

TEST(DequantizeAffineTest, EveryRowEqualsTheReference) {
  const std::vector<float> scales[] = {{0.01f, 1.0f, 0x1p-130f, 300.0f},
                                       {1e37f, 0.0f, -0.3f, 0x1p-24f}};
  const std::vector<float> zeros[] = {{0.0f, -128.0f, 127.0f, 3.0f},
                                      {-0.5f, 0.25f, 100.5f, 1.5f}};
  for (const Element out : {Element::F32, Element::Bf16, Element::F16}) {
    for (const std::int64_t group : awkward_sizes()) {
      std::vector<std::int8_t> q(static_cast<std::size_t>(kGroups * group) + 1);
      for (std::size_t i = 0; i < q.size(); ++i) {
        q[i] = static_cast<std::int8_t>(i * 37);
      }
      for (const auto& scale : scales) {
        for (const auto& zero : zeros) {
          const DequantizeAffineArgs args{
              q.data() + 1, kGroups, group, scale.data(), zero.data(), nullptr};
          const auto want = run(dequantize_affine_kernels().back(), out, args);
          for (const auto& kernel : dequantize_affine_kernels()) {
            if (kernel.refuses({out}, host_caps()) != nullptr) continue;
            EXPECT_EQ(run(kernel, out, args), want)
                << kernel.name << " out " << static_cast<int>(out) << " group "
                << group;
          }
        }
      }
    }
  }
}

TEST(DequantizeAffineTest, NanScalesGiveNan) {
  const std::int8_t q[3] = {1, 0, -5};
  const float scale = NAN;
  const float zero = 0.0f;
  for (const Element out : {Element::F32, Element::Bf16, Element::F16}) {
    for (const auto& kernel : dequantize_affine_kernels()) {
      if (kernel.refuses({out}, host_caps()) != nullptr) continue;
      float values[3] = {};
      kernel.run(out, {q, 1, 3, &scale, &zero, values});
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(std::isnan(load_element(out, values, i))) << kernel.name;
      }
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
