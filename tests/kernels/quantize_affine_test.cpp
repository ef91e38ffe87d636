#include "kernels/quantize_affine.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/encode_cases.h"
#include "kernels/names.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kGroups = 3;

constexpr QuantizeAffineProblem kProblems[] = {
    {Element::F32, Element::F32},
    {Element::Bf16, Element::F32},
    {Element::Bf16, Element::Bf16},
    {Element::F16, Element::F32},
    {Element::F16, Element::F16},
    {Element::F32, Element::F32, AffineRounding::Quotient},
    {Element::Bf16, Element::F32, AffineRounding::Quotient},
    {Element::F16, Element::F32, AffineRounding::Quotient},
};

struct Range {
  int qmin;
  int qmax;
};
constexpr Range kRanges[] = {
    {-128, 127}, {-64, 63}, {-8, 7}, {0, 255}, {-1, 0}};

std::vector<std::uint8_t> run(const QuantizeAffineKernel& kernel,
                              const QuantizeAffineProblem& problem,
                              QuantizeAffineArgs args) {
  std::vector<std::uint8_t> q(
      static_cast<std::size_t>(args.groups * args.group) + 1, 0xaa);
  args.q = q.data() + 1;
  kernel.run(problem, args);
  EXPECT_EQ(q[0], 0xaa);
  return q;
}

// Compares every usable row with the reference on one input.
void compare_rows(const QuantizeAffineProblem& problem,
                  const QuantizeAffineArgs& args,
                  const std::string& what) {
  const auto want = run(quantize_affine_kernels().back(), problem, args);
  for (const QuantizeAffineKernel& kernel : quantize_affine_kernels()) {
    if (kernel.refuses(problem, host_caps()) != nullptr) continue;
    EXPECT_EQ(run(kernel, problem, args), want)
        << kernel.name << " x " << static_cast<int>(problem.x) << " product "
        << static_cast<int>(problem.product) << " rounding "
        << static_cast<int>(problem.rounding) << " group " << args.group << ' '
        << what;
  }
}

TEST(QuantizeAffineTest, EveryRowEqualsTheReference) {
  const std::vector<float> reciprocals[] = {
      {1.0f, 37.5f, 0.03125f},
      {0x1p126f, 0x1p-126f, 1e5f},
      {INFINITY, 0.0f, 0.99609375f},
  };
  const std::vector<std::int32_t> zeros = {0, -128, 93};
  for (const QuantizeAffineProblem& problem : kProblems) {
    for (const std::int64_t group : awkward_sizes()) {
      const EncodeInput x(problem.x,
                          kGroups * group,
                          EncodeInput::Special::Any,
                          static_cast<unsigned>(group));
      for (const auto& reciprocal : reciprocals) {
        for (const Range& range : kRanges) {
          QuantizeAffineArgs args{x.data(),
                                  kGroups,
                                  group,
                                  reciprocal.data(),
                                  zeros.data(),
                                  range.qmin,
                                  range.qmax,
                                  nullptr};
          compare_rows(problem, args, "with zero points");
          args.zero_point = nullptr;
          compare_rows(problem, args, "without zero points");
        }
      }
    }
  }
}

TEST(QuantizeAffineTest, RoundsHalfToEvenAndClamps) {
  const std::vector<float> x = {0.5f, 1.5f, -0.5f, -2.5f, 300.0f, -300.0f, NAN};
  const std::vector<std::uint8_t> want = {0, 2, 0, 0xfe, 127, 0x80, 0};
  const float one = 1.0f;
  for (const QuantizeAffineKernel& kernel : quantize_affine_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    std::vector<std::uint8_t> q(x.size());
    kernel.run({Element::F32, Element::F32},
               {x.data(), 1, 7, &one, nullptr, -128, 127, q.data()});
    EXPECT_EQ(q, want) << kernel.name;
  }
}

// The zero point comes before the rounding: 0.5 + 1 = 1.5 is 2, where rounding
// first gives 0 + 1.
TEST(QuantizeAffineTest, QuotientsAddTheZeroPointAndThenRound) {
  const std::vector<float> x = {1.5f, 4.5f, -1e30f, 1e30f, -4.5f, 0.0f, NAN};
  const std::vector<std::uint8_t> want = {2, 2, 0xf8, 7, 0, 1, 0};
  const float scale = 3.0f;
  const std::int32_t zero = 1;
  for (const QuantizeAffineKernel& kernel : quantize_affine_kernels()) {
    const QuantizeAffineProblem problem{
        Element::F32, Element::F32, AffineRounding::Quotient};
    if (kernel.refuses(problem, host_caps()) != nullptr) continue;
    std::vector<std::uint8_t> q(x.size());
    kernel.run(problem, {x.data(), 1, 7, &scale, &zero, -8, 7, q.data()});
    EXPECT_EQ(q, want) << kernel.name;
  }
}

TEST(KernelNamesTest, EncodersAreOpAndTarget) {
  for (const std::string_view op : kEncoderOps) {
    int rows = 0;
    for (const KernelInfo& info : all_kernels(host_caps())) {
      if (info.op != op) continue;
      ++rows;
      bool known = false;
      for (const std::string_view target : kTargets) {
        known |= info.name == std::string(op) + "_" + std::string(target);
      }
      EXPECT_TRUE(known) << info.name;
    }
    EXPECT_GE(rows, 1) << op;
  }
}

}  // namespace
}  // namespace mantissa::kernels
