#include "kernels/grouped_lowbit.h"

#include <cstdio>
#include <random>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/guarded_bytes.h"
#include "kernels/lowbit_activations.h"
#include "kernels/lowbit_layout.h"
#include "kernels/quantize_panels.h"

namespace mantissa::kernels {
namespace {

using ::testing::HasSubstr;

struct Case {
  int bits;
  std::int64_t n;  // columns of an expert
  std::int64_t k;
  std::int64_t group;
  LowbitScale type;
  bool zeros;
  bool offsets = false;
};

// Experts one behind the other, and each packed by itself.
class Experts {
 public:
  Experts(const Case& c, std::int64_t experts) : case_(c), experts_(experts) {
    std::mt19937 random(static_cast<unsigned>(c.bits * 31 + c.n + c.k));
    const LowbitLayout all = {c.bits, experts * c.n, c.k, c.group};
    std::uniform_int_distribution<int> code(-(1 << (c.bits - 1)),
                                            (1 << (c.bits - 1)) - 1);
    for (std::int64_t i = 0; i < all.n * c.k; ++i) {
      codes_.push_back(static_cast<std::int8_t>(code(random)));
    }
    for (std::int64_t i = 0; i < all.n * all.groups() * scale_bytes(); ++i) {
      // Positive and finite in every type: no byte above 0x3f.
      scales_.push_back(static_cast<std::uint8_t>(random() % 0x40));
    }
    for (std::int64_t i = 0; i < all.n * all.groups(); ++i) {
      zeros_.push_back(static_cast<std::int8_t>(code(random)));
    }
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      offsets_.push_back(static_cast<std::uint8_t>(random() % 0x40));
    }
    together_ = pack(all, 0);
    for (std::int64_t e = 0; e < experts; ++e) {
      alone_.push_back(pack({c.bits, c.n, c.k, c.group}, e * c.n));
    }
  }

  ExpertsView view() const { return {together_.view, experts_}; }
  const LowbitWeightView& alone(std::size_t e) const { return alone_[e].view; }

 private:
  struct Packed {
    std::vector<std::uint8_t> codes;
    std::vector<std::uint8_t> scales;
    std::vector<std::uint8_t> offsets;
    std::vector<std::int8_t> zeros;
    std::vector<float> sums;
    LowbitWeightView view;
  };

  std::int64_t scale_bytes() const {
    return case_.type == LowbitScale::F32 ? 4 : 2;
  }

  Packed pack(const LowbitLayout& layout, std::int64_t row) const {
    Packed out;
    const auto values = static_cast<std::size_t>(layout.metadata_values());
    out.codes.resize(static_cast<std::size_t>(layout.code_bytes()));
    out.scales.resize(values * static_cast<std::size_t>(scale_bytes()));
    out.offsets.resize(out.scales.size());
    out.zeros.resize(values);
    out.sums.resize(static_cast<std::size_t>(layout.tiles() * kLowbitTile));
    const std::int8_t* codes = codes_.data() + row * layout.k;
    const std::int64_t at = row * layout.groups();
    const std::int64_t tiles = layout.tiles();
    pack_lowbit(layout,
                codes,
                case_.zeros ? zeros_.data() + at : nullptr,
                0,
                tiles,
                out.codes.data());
    pack_lowbit_metadata(layout,
                         scales_.data() + at * scale_bytes(),
                         scale_bytes(),
                         0,
                         tiles,
                         out.scales.data());
    pack_lowbit_metadata(layout,
                         offsets_.data() + at * scale_bytes(),
                         scale_bytes(),
                         0,
                         tiles,
                         out.offsets.data());
    pack_lowbit_metadata(
        layout, zeros_.data() + at, 1, 0, tiles, out.zeros.data());
    out.view = {layout.bits,
                layout.n,
                layout.stored_k(),
                layout.stored_group(),
                out.codes.data(),
                case_.type,
                out.scales.data(),
                case_.zeros ? out.zeros.data() : nullptr,
                out.sums.data(),
                LowbitCode::Integer,
                case_.offsets ? out.offsets.data() : nullptr};
    lowbit_sums(layout, codes, out.view, 0, tiles, out.sums.data());
    return out;
  }

  Case case_;
  std::int64_t experts_;
  std::vector<std::int8_t> codes_;
  std::vector<std::uint8_t> scales_;
  std::vector<std::uint8_t> offsets_;
  std::vector<std::int8_t> zeros_;
  Packed together_;
  std::vector<Packed> alone_;
};

std::vector<Case> cases() {
  return {{4, 32, 64, 32, LowbitScale::Bf16, true},
          {4, 48, 128, 128, LowbitScale::F16, false},
          {8, 16, 100, 100, LowbitScale::F32, false},
          {4, 48, 128, 64, LowbitScale::Bf16, false, true},
          {4, 32, 64, 32, LowbitScale::F32, false, true},
          {3, 80, 64, 32, LowbitScale::F32, true},
          {1, 16, 32, 32, LowbitScale::Bf16, true}};
}

const std::vector<std::vector<std::int64_t>> kEnds = {
    {0, 1, 1, 9}, {3, 3, 5, 6}, {0, 0, 0, 0}, {17, 18, 20, 24}};

// Codes of each expert's rows, per group of 32 or per row.
std::vector<LowbitActivationBuffer> quantized(
    const std::vector<float>& x,
    std::int64_t k,
    const std::vector<std::int64_t>& ends,
    std::int64_t group) {
  std::vector<LowbitActivationBuffer> out(ends.size());
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    const std::int64_t m = ends[e] - begin;
    out[e].resize(m, k, group, /*zeros=*/group == 0);
    if (m == 0) continue;
    if (group != 0) {
      quantize_panels_kernels().back().run(
          out[e].fill_from(x.data() + begin * k, k), 0, out[e].panels());
      continue;
    }
    std::vector<std::int8_t> codes;
    for (std::int64_t i = 0; i < m * k; ++i) {
      codes.push_back(static_cast<std::int8_t>(
          x[static_cast<std::size_t>(begin * k + i)] * 30));
    }
    const std::vector<float> scales(static_cast<std::size_t>(m), 0.01f);
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(m), -9);
    out[e].take_rows(
        codes.data(), scales.data(), zeros.data(), 0, out[e].panels());
  }
  return out;
}

TEST(GroupedLowbitTest, EveryExpertAsIfAloneToTheBit) {
  for (const LinearLowbitKernel& kernel : linear_lowbit_kernels()) {
    const char* refusal = kernel.refuses({.m = 512}, host_caps());
    if (refusal != nullptr) {
      std::printf("%s: %s\n", kernel.name, refusal);
      continue;
    }
    for (const Case& c : cases()) {
      const Experts experts(c, 4);
      for (const auto& ends : kEnds) {
        for (const std::int64_t group : {0, 32}) {
          std::mt19937 random(7);
          std::normal_distribution<float> real;
          std::vector<float> x(static_cast<std::size_t>(ends.back() * c.k));
          for (float& v : x) v = real(random);
          const auto codes = quantized(x, c.k, ends, group);
          std::vector<LowbitActivations> views;
          for (const auto& one : codes) views.push_back(one.view());
          const std::size_t size = static_cast<std::size_t>(ends.back() * c.n);
          std::vector<float> together(size, -1.0f);
          std::vector<float> alone(size, -2.0f);
          GroupedLowbitArgs args;
          args.w = experts.view();
          args.ends = ends;
          args.x = views;
          args.y = together.data();
          args.y_stride = c.n;
          const std::int64_t pairs = grouped_lowbit_pairs(args);
          const GuardedBytes workspace(static_cast<std::size_t>(
              grouped_lowbit_workspace(kernel, args, 1)));
          // In parts that do not end with an expert.
          for (std::int64_t at = 0; at < pairs; at += 2) {
            run_grouped_lowbit(
                kernel, args, at, std::min(at + 2, pairs), workspace.data());
          }
          for (std::size_t e = 0; e < 4; ++e) {
            if (views[e].m == 0) continue;
            LinearLowbitArgs one;
            one.w = experts.alone(e);
            one.x = views[e];
            one.y = alone.data() + (e == 0 ? 0 : ends[e - 1]) * c.n;
            one.y_stride = c.n;
            kernel.run(one, {0, c.n / kLowbitTile, workspace.data()});
          }
          ASSERT_EQ(together, alone) << kernel.name << " bits " << c.bits;
        }
      }
    }
  }
}

// 8 experts, 2 of them with 40 rows each: a kernel for 40 rows, not for 10.
TEST(GroupedLowbitTest, RowsAreSharedByExpertsThatHaveSome) {
  const Experts experts({4, 32, 128, 64, LowbitScale::Bf16, false}, 8);
  const std::vector<std::int64_t> ends = {0, 40, 40, 40, 40, 40, 80, 80};
  const std::vector<float> x(80 * 128, 0.5f);
  for (const std::int64_t group : {0, 32}) {
    const auto codes = quantized(x, 128, ends, group);
    std::vector<LowbitActivations> views(codes.size());
    for (const std::size_t e : {1, 6}) views[e] = codes[e].view();
    GroupedLowbitArgs args;
    args.w = experts.view();
    args.ends = ends;
    args.x = views;
    const LinearLowbitProblem problem = grouped_lowbit_problem(args, 80);
    EXPECT_EQ(problem.m, 40);
    EXPECT_EQ(problem.n, 32);
    EXPECT_EQ(problem.k, 128);
    EXPECT_EQ(problem.segment, group == 0 ? 64 : 32);
    views.assign(codes.size(), {});
    EXPECT_EQ(grouped_lowbit_problem(args, 0).m, 0);
  }
}

TEST(GroupedLowbitTest, OffsetsAreChecked) {
  const auto error = [](const std::vector<std::int64_t>& ends) {
    return grouped_ends_error(ends, 3, 10);
  };
  EXPECT_EQ(error({0, 4, 10}), "");
  EXPECT_EQ(error({0, 0, 7}), "");
  EXPECT_THAT(error({4, 10}), HasSubstr("expected 3 offsets, one an expert"));
  EXPECT_THAT(error({4, 3, 10}), HasSubstr("got 3 for expert 1"));
  EXPECT_THAT(error({4, 5, 11}), HasSubstr("up to 10, got 11 for expert 2"));
  EXPECT_THAT(error({-1, 5, 10}), HasSubstr("got -1 for expert 0"));
}

}  // namespace
}  // namespace mantissa::kernels
