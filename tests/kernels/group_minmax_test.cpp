#include "kernels/group_minmax.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "kernels/common/load_element.h"
#include "kernels/encode_cases.h"

namespace mantissa::kernels {
namespace {

constexpr Element kElements[] = {Element::F32, Element::Bf16, Element::F16};
constexpr std::int64_t kGroups = 3;

struct Result {
  std::vector<float> min = std::vector<float>(kGroups);
  std::vector<float> max = std::vector<float>(kGroups);
};

Result run(const GroupMinmaxKernel& kernel,
           Element type,
           const void* x,
           std::int64_t group) {
  Result r;
  kernel.run(type, {x, kGroups, group, r.min.data(), r.max.data()});
  return r;
}

void expect_same(const std::vector<float>& got,
                 const std::vector<float>& want,
                 const std::string& what) {
  for (std::size_t g = 0; g < want.size(); ++g) {
    if (std::isnan(want[g])) {
      EXPECT_TRUE(std::isnan(got[g])) << what << " group " << g;
    } else {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(got[g]),
                std::bit_cast<std::uint32_t>(want[g]))
          << what << " group " << g << ": " << got[g] << " for " << want[g];
    }
  }
}

TEST(GroupMinmaxTest, EveryRowEqualsTheReference) {
  const GroupMinmaxKernel& reference = group_minmax_kernels().back();
  for (const Element type : kElements) {
    for (const std::int64_t group : awkward_sizes()) {
      for (unsigned seed = 0; seed < 8; ++seed) {
        const EncodeInput x(
            type, kGroups * group, EncodeInput::Special::Any, seed);
        const Result want = run(reference, type, x.data(), group);
        for (const GroupMinmaxKernel& kernel : group_minmax_kernels()) {
          if (kernel.refuses({type}, host_caps()) != nullptr) continue;
          const Result got = run(kernel, type, x.data(), group);
          const std::string what = std::string(kernel.name) + " element " +
                                   std::to_string(static_cast<int>(type)) +
                                   " group " + std::to_string(group) +
                                   " seed " + std::to_string(seed);
          expect_same(got.min, want.min, what + " min");
          expect_same(got.max, want.max, what + " max");
        }
      }
    }
  }
}

TEST(GroupMinmaxTest, ReferenceEqualsPlainComparisons) {
  const GroupMinmaxKernel& reference = group_minmax_kernels().back();
  for (const Element type : kElements) {
    for (const std::int64_t group : {1, 7, 64}) {
      const EncodeInput x(
          type, kGroups * group, EncodeInput::Special::FiniteOnly, 5);
      const Result got = run(reference, type, x.data(), group);
      for (std::int64_t g = 0; g < kGroups; ++g) {
        float min = INFINITY;
        float max = -INFINITY;
        for (std::int64_t i = g * group; i < (g + 1) * group; ++i) {
          min = std::fmin(min, load_element(type, x.data(), i));
          max = std::fmax(max, load_element(type, x.data(), i));
        }
        EXPECT_EQ(got.min[g], min);
        EXPECT_EQ(got.max[g], max);
      }
    }
  }
}

TEST(GroupMinmaxTest, NanAndInfinityShowInEveryRow) {
  for (const GroupMinmaxKernel& kernel : group_minmax_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    std::vector<std::uint16_t> x(3 * 40, 0x3f80);
    x[39] = 0x7fc0;   // NaN
    x[40] = 0xffc1;   // -NaN
    x[100] = 0xff80;  // -infinity
    const Result r = run(kernel, Element::Bf16, x.data(), 40);
    EXPECT_TRUE(std::isnan(r.max[0])) << kernel.name;
    EXPECT_TRUE(std::isnan(r.min[1])) << kernel.name;
    EXPECT_EQ(r.min[2], -INFINITY) << kernel.name;
  }
}

TEST(GroupMinmaxTest, ForcedRowIsChosenByName) {
  EXPECT_EQ(std::string(group_minmax_kernels().back().name),
            "group_minmax_ref");
  const Caps none;
  EXPECT_EQ(std::string(select("group_minmax",
                               group_minmax_kernels(),
                               GroupMinmaxProblem{},
                               none)
                            .name),
            "group_minmax_ref");
}

}  // namespace
}  // namespace mantissa::kernels
