#include "kernels/grouped_lowbit.h"

#include <cstdio>
#include <random>
#include <span>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/primitives/float_casts.h>

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
  LowbitCode code = LowbitCode::Integer;
  std::int64_t super = 0;  // with codes from 0 where there are offsets
  bool from_zero() const { return super != 0 && offsets; }
  LowbitLayout layout(std::int64_t rows) const {
    return {bits, rows, k, group, from_zero(), super};
  }
};

// Experts one behind the other, and each packed by itself.
class Experts {
 public:
  Experts(const Case& c, std::int64_t experts) : case_(c), experts_(experts) {
    std::mt19937 random(static_cast<unsigned>(c.bits * 31 + c.n + c.k));
    const LowbitLayout all = c.layout(experts * c.n);
    std::uniform_int_distribution<int> code(-(1 << (c.bits - 1)),
                                            (1 << (c.bits - 1)) - 1);
    for (std::int64_t i = 0; i < all.n * c.k; ++i) {
      codes_.push_back(static_cast<std::int8_t>(code(random)));
      // Finite in float8 too: no exponent of ones.
      if (c.code != LowbitCode::Integer) codes_.back() &= ~0x40;
    }
    for (std::int64_t i = 0; i < all.n * all.groups() * scale_bytes(); ++i) {
      // Positive and finite in every type: no byte above 0x3f.
      scales_.push_back(static_cast<std::uint8_t>(random() % 0x40));
    }
    for (std::int64_t i = 0; i < all.n * all.groups(); ++i) {
      zeros_.push_back(static_cast<std::int8_t>(code(random)));
      factors_.push_back(static_cast<std::int8_t>(random() % 64));
    }
    for (std::size_t i = 0; i < scales_.size(); ++i) {
      offsets_.push_back(static_cast<std::uint8_t>(random() % 0x40));
    }
    together_ = pack(all, 0);
    for (std::int64_t e = 0; e < experts; ++e) {
      alone_.push_back(pack(c.layout(c.n), e * c.n));
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
    std::vector<std::int8_t> factors;
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
    out.factors.resize(values);
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
    const LowbitLayout supers = layout.supers();
    const std::int64_t byte = row * supers.groups() * scale_bytes();
    pack_lowbit_metadata(supers,
                         scales_.data() + byte,
                         scale_bytes(),
                         0,
                         tiles,
                         out.scales.data());
    pack_lowbit_metadata(supers,
                         offsets_.data() + byte,
                         scale_bytes(),
                         0,
                         tiles,
                         out.offsets.data());
    pack_lowbit_metadata(
        layout, factors_.data() + at, 1, 0, tiles, out.factors.data());
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
                case_.code,
                case_.offsets ? out.offsets.data() : nullptr,
                case_.from_zero(),
                case_.super,
                case_.super != 0 ? out.factors.data() : nullptr,
                case_.from_zero() ? out.factors.data() : nullptr};
    lowbit_sums(layout, codes, out.view, 0, tiles, out.sums.data());
    return out;
  }

  Case case_;
  std::int64_t experts_;
  std::vector<std::int8_t> codes_;
  std::vector<std::uint8_t> scales_;
  std::vector<std::uint8_t> offsets_;
  std::vector<std::int8_t> zeros_;
  std::vector<std::int8_t> factors_;
  Packed together_;
  std::vector<Packed> alone_;
};

std::vector<Case> cases() {
  constexpr LowbitScale bf16 = LowbitScale::Bf16;
  constexpr LowbitScale f16 = LowbitScale::F16;
  constexpr LowbitScale f32 = LowbitScale::F32;
  return {{4, 32, 64, 32, bf16, true},
          {4, 48, 128, 128, f16, false},
          {8, 16, 100, 100, f32, false},
          {4, 48, 128, 64, bf16, false, true},
          {4, 32, 64, 32, f32, false, true},
          {3, 80, 64, 32, f32, true},
          {1, 16, 32, 32, bf16, true},
          {8, 48, 128, 32, f32, false, false, LowbitCode::E4m3},
          {8, 32, 64, 64, f32, false, false, LowbitCode::E5m2},
          {4, 48, 256, 32, f16, false, true, LowbitCode::Integer, 256},
          {6, 32, 256, 16, f16, false, false, LowbitCode::Integer, 256}};
}

const std::vector<std::vector<std::int64_t>> kEnds = {{0, 1, 1, 9},
                                                      {3, 3, 5, 6},
                                                      {0, 0, 0, 0},
                                                      {17, 18, 20, 24},
                                                      {2, 69, 70, 84}};

// The operators: their tables, and rows [begin, begin + m) of x as a row of the
// table takes them.
struct Int8 {
  using Buffer = LowbitActivationBuffer;
  using Product = LowbitInt8Product;
  static auto kernels() { return linear_lowbit_kernels(); }
  static bool takes(const Case& c) { return c.code == LowbitCode::Integer; }
  static auto problem(const LinearLowbitArgs& args) {
    return linear_lowbit_problem(args.w, args.x.m, args.x.group);
  }
  static void fill(const float* x,
                   std::int64_t m,
                   std::int64_t k,
                   const LinearLowbitKernel&,
                   Buffer& out) {
    out.resize(m, k, 32, /*zeros=*/false);
    quantize_panels_kernels().back().run(out.fill_from(x, k), 0, out.panels());
  }
};

// A scale and a zero point each row.
struct Tokens : Int8 {
  static void fill(const float* x,
                   std::int64_t m,
                   std::int64_t k,
                   const LinearLowbitKernel&,
                   Buffer& out) {
    out.resize(m, k, 0, /*zeros=*/true);
    std::vector<std::int8_t> codes;
    for (std::int64_t i = 0; i < m * k; ++i) {
      codes.push_back(static_cast<std::int8_t>(x[i] * 30));
    }
    const std::vector<float> scales(static_cast<std::size_t>(m), 0.01f);
    const std::vector<std::int32_t> zeros(static_cast<std::size_t>(m), -9);
    out.take_rows(codes.data(), scales.data(), zeros.data(), 0, out.panels());
  }
};

struct Floats {
  using Buffer = LowbitFloatBuffer;
  using Product = LowbitFloatProduct;
  static auto kernels() { return linear_lowbit_float_kernels(); }
  static bool takes(const Case&) { return true; }
  static auto problem(const LinearLowbitFloatArgs& args) {
    return linear_lowbit_float_problem(args.w, args.x.m);
  }
  static void fill(const float* x,
                   std::int64_t m,
                   std::int64_t k,
                   const LinearLowbitFloatKernel&,
                   Buffer& out) {
    out.resize(m, k);
    out.fill(x, k, 0, out.panels());
  }
};

struct Bf16s {
  using Buffer = LowbitBf16Buffer;
  using Product = LowbitBf16Product;
  static auto kernels() { return linear_lowbit_bf16_kernels(); }
  static bool takes(const Case& c) { return c.group >= kLowbitChunk; }
  static auto problem(const LinearLowbitBf16Args& args) {
    return linear_lowbit_bf16_problem(args.w, args.x.m, args.x.panel);
  }
  static void fill(const float* x,
                   std::int64_t m,
                   std::int64_t k,
                   const LinearLowbitBf16Kernel& kernel,
                   Buffer& out) {
    std::vector<std::uint16_t> narrow;
    for (std::int64_t i = 0; i < m * k; ++i) {
      narrow.push_back(float_to_bfloat16(x[i]));
    }
    out.resize(m, k, kernel.panel_of(m));
    out.fill(narrow.data(), k, 0, out.panels());
  }
};

template <class Op>
class GroupedLowbitTest : public ::testing::Test {};
using Ops = ::testing::Types<Int8, Tokens, Floats, Bf16s>;
TYPED_TEST_SUITE(GroupedLowbitTest, Ops);

// Rows of x [ends.back(), k] of each expert, as `kernel` takes them.
template <class Op, class Kernel>
std::vector<typename Op::Buffer> buffers(
    const Kernel& kernel,
    std::int64_t k,
    const std::vector<std::int64_t>& ends) {
  std::mt19937 random(7);
  std::normal_distribution<float> real;
  std::vector<float> x(static_cast<std::size_t>(ends.back() * k));
  for (float& v : x) v = real(random);
  std::vector<typename Op::Buffer> out(ends.size());
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] == begin) continue;
    Op::fill(x.data() + begin * k, ends[e] - begin, k, kernel, out[e]);
  }
  return out;
}

TYPED_TEST(GroupedLowbitTest, EveryExpertAsIfAloneToTheBit) {
  using Product = typename TypeParam::Product;
  for (const auto& kernel : TypeParam::kernels()) {
    int ran = 0;
    for (const Case& c : cases()) {
      if (!TypeParam::takes(c)) continue;
      const Experts experts(c, 4);
      for (const auto& ends : kEnds) {
        const auto x = buffers<TypeParam>(kernel, c.k, ends);
        const auto size = static_cast<std::size_t>(ends.back() * c.n);
        std::vector<float> together(size, -1.0f);
        std::vector<float> alone(size, -2.0f);
        std::vector<Product> products;
        const char* refusal = nullptr;
        std::int64_t begin = 0;
        for (std::size_t e = 0; e < 4; begin = ends[e], ++e) {
          if (ends[e] == begin) continue;
          Product one{&kernel, {}, 0};
          one.args.w = experts.view().expert(static_cast<std::int64_t>(e));
          one.args.x = x[e].view();
          one.args.y = together.data() + begin * c.n;
          one.args.y_stride = c.n;
          const auto problem = TypeParam::problem(one.args);
          refusal = kernel.refuses(problem, host_caps());
          if (refusal != nullptr) break;
          one.workspace = kernel.workspace_bytes(problem, 1);
          products.push_back(one);
          const GuardedBytes workspace(static_cast<std::size_t>(one.workspace));
          one.args.w = experts.alone(e);
          one.args.y = alone.data() + begin * c.n;
          kernel.run(one.args, {0, one.tiles(), workspace.data()});
        }
        if (refusal != nullptr) break;
        const std::span<const Product> all = products;
        const GuardedBytes workspace(
            static_cast<std::size_t>(lowbit_workspace_bytes(all)));
        // In parts that end neither with an expert nor with a pair.
        const std::int64_t cost = lowbit_cost(all);
        for (std::int64_t at = 0; at < cost; at += 11) {
          run_lowbit_products(all,
                              at,
                              std::min(at + 11, cost),
                              workspace.data(),
                              [](std::size_t, LowbitColumns) {});
        }
        ASSERT_EQ(together, alone) << kernel.name << " bits " << c.bits;
        ++ran;
      }
    }
    std::printf("%s: %d\n", kernel.name, ran);
  }
}

// Every pair by one of the parts, whatever their number, and its columns behind
// it, to the last that the product has.
TYPED_TEST(GroupedLowbitTest, PartsHaveEveryPairOnce) {
  using Product = typename TypeParam::Product;
  static std::vector<std::int64_t> seen;
  auto counting = TypeParam::kernels().back();
  counting.run = [](const auto& args, const LinearLowbitTiles& tiles) {
    EXPECT_EQ(tiles.begin % 2, 0);
    for (std::int64_t t = tiles.begin; t < tiles.end; ++t) {
      ++seen[static_cast<std::size_t>(args.y_stride + t)];
    }
  };
  std::vector<Product> products(3, {&counting, {}, 0});
  std::int64_t tiles = 0;
  for (const auto& [i, m, n] : {std::tuple(0, 1, 16 * 7),
                                std::tuple(1, 90, 16 * 2),
                                std::tuple(2, 3, 16 * 12 - 5)}) {
    products[static_cast<std::size_t>(i)].args.x.m = m;
    products[static_cast<std::size_t>(i)].args.w.n = n;
    products[static_cast<std::size_t>(i)].args.y_stride = tiles;
    tiles += (n + 15) / 16;
  }
  const std::span<const Product> all = products;
  const std::int64_t cost = lowbit_cost(all);
  for (const std::int64_t parts : {1, 2, 3, 7, 1000}) {
    seen.assign(static_cast<std::size_t>(tiles), 0);
    std::vector<int> behind(16 * 21, 0);
    for (std::int64_t p = 0; p < parts; ++p) {
      run_lowbit_products(all,
                          cost * p / parts,
                          cost * (p + 1) / parts,
                          nullptr,
                          [&](std::size_t i, LowbitColumns columns) {
                            const std::int64_t first = all[i].args.y_stride;
                            for (auto c = columns.begin; c < columns.end; ++c) {
                              EXPECT_EQ(seen.at(first + c / 16), 1);
                              ++behind.at(16 * first + c);
                            }
                          });
    }
    EXPECT_EQ(seen, std::vector<std::int64_t>(21, 1)) << parts;
    std::vector<int> once(16 * 21 - 5, 1);
    once.resize(16 * 21, 0);
    EXPECT_EQ(behind, once) << parts;
  }
}

// An expert has the row that linear_lowbit takes for so many rows of x.
TYPED_TEST(GroupedLowbitTest, EveryExpertHasTheKernelOfItsRows) {
  const Experts experts({4, 32, 128, 64, LowbitScale::Bf16, false}, 2);
  for (const std::int64_t m : {1, 4, 5, 31, 32, 80}) {
    typename TypeParam::Product::Args args;
    args.w = experts.view().expert(1);
    args.x.m = m;
    args.x.k = 128;
    const auto product = lowbit_product(args);
    const auto problem = TypeParam::problem(args);
    const auto kernels = TypeParam::kernels();
    const auto* row = kernels.data();
    while (row->refuses(problem, host_caps()) != nullptr) ++row;
    EXPECT_EQ(product.kernel, row) << m;
    EXPECT_EQ(product.workspace, row->workspace_bytes(problem, 1)) << m;
    EXPECT_EQ(product.pairs(), 1);
  }
}

TEST(GroupedEndsTest, OffsetsAreChecked) {
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
