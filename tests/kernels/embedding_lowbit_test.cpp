#include "kernels/embedding_lowbit.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/common/load_element.h"
#include "kernels/common/store_element.h"
#include "kernels/lowbit_cases.h"

namespace mantissa::kernels {
namespace {

constexpr Element kTypes[] = {Element::F32, Element::Bf16, Element::F16};

struct Case {
  LowbitCase weight;
  LowbitScale values = LowbitScale::F32;
};

std::string name(const Case& c) {
  const LowbitLayout& layout = c.weight.layout;
  const auto number = [](auto value) {
    return std::to_string(static_cast<std::int64_t>(value));
  };
  return "bits " + number(layout.bits) + " [" + number(layout.n) + ", " +
         number(layout.k) + "] group " + number(layout.group) + " super " +
         number(layout.super) + (layout.from_zero ? " from zero" : "") +
         " zeros " + number(c.weight.zeros) + " scales " +
         number(c.weight.type) + " code " + number(c.weight.code) +
         " offsets " + number(c.weight.offsets) + " values " + number(c.values);
}

// Sizes that differ: groups, one scale a row with and without a whole last
// chunk, rows that do not fill a tile.
struct Size {
  std::int64_t n;
  std::int64_t k;
  std::int64_t group;
  std::int64_t super = 0;
};

constexpr Size kSizes[] = {{1, 32, 32},
                           {17, 96, 32},
                           {33, 576, 64},
                           {16, 256, 128},
                           {5, 1, 1},
                           {20, 33, 33},
                           {7, 100, 100},
                           {3, 160, 160}};

// With two levels of scales.
constexpr Size kLevelSizes[] = {{17, 512, 16, 256},
                                {1, 32, 16, 32},
                                {33, 96, 16, 32},
                                {16, 96, 16, 16},
                                {5, 256, 16, 128},
                                {20, 768, 32, 256},
                                {1, 64, 32, 32},
                                {33, 384, 64, 128},
                                {7, 256, 128, 128}};

constexpr LowbitScale kScales[] = {
    LowbitScale::Bf16, LowbitScale::F16, LowbitScale::F32};

// Integers and float8 with a scale, integers with zero points.
void add_products(int bits, std::vector<Case>& out) {
  for (const Size& size : kSizes) {
    for (const LowbitScale type : kScales) {
      const LowbitLayout layout = {bits, size.n, size.k, size.group};
      for (const bool zeros : {false, true}) {
        out.push_back({{layout, zeros, type, size.n == 16}});
      }
      if (bits != 8) continue;
      for (const auto code : {LowbitCode::E4m3, LowbitCode::E5m2}) {
        out.push_back({{layout, false, type, false, code}});
      }
    }
  }
}

// With offsets, of one level, codes of both signs and from 0. What is rounded
// to 16 bits has scales of 16 bits.
void add_sums(int bits, std::vector<Case>& out) {
  for (const Size& size : kSizes) {
    for (const LowbitScale type : kScales) {
      for (const LowbitScale values : kScales) {
        if (type == LowbitScale::F32 && values != type) continue;
        for (const auto offsets : {LowbitOffsets::Near, LowbitOffsets::Far}) {
          for (const bool from_zero : {false, true}) {
            LowbitCase weight;
            weight.layout = {bits, size.n, size.k, size.group, from_zero};
            weight.type = type;
            weight.extreme = size.n == 16;
            weight.offsets = offsets;
            out.push_back({weight, values});
          }
        }
      }
    }
  }
}

void add_levels(int bits, std::vector<Case>& out) {
  for (const Size& size : kLevelSizes) {
    for (const LowbitScale type : {LowbitScale::Bf16, LowbitScale::F16}) {
      for (const auto offsets :
           {LowbitOffsets::None, LowbitOffsets::Near, LowbitOffsets::Far}) {
        for (const bool from_zero : {false, true}) {
          if (size.group != kLowbitHalf && !from_zero) continue;
          LowbitCase weight;
          weight.layout = {
              bits, size.n, size.k, size.group, from_zero, size.super};
          weight.type = type;
          weight.extreme = size.n == 16;
          weight.offsets = offsets;
          out.push_back({weight});
        }
      }
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (int bits = 1; bits <= 8; ++bits) {
    add_products(bits, out);
    add_sums(bits, out);
    add_levels(bits, out);
  }
  return out;
}

std::vector<std::byte> rows_of(const EmbeddingLowbitKernel& kernel,
                               const LowbitCaseWeight& w,
                               const std::vector<std::int64_t>& indices,
                               Element type,
                               int index_bytes,
                               LowbitScale values = LowbitScale::F32) {
  const std::vector<std::int32_t> narrow(indices.begin(), indices.end());
  const auto count = static_cast<std::int64_t>(indices.size());
  const auto bytes =
      static_cast<std::size_t>(count * w.layout().k * element_bytes(type));
  std::vector<std::byte> out(bytes + 2, std::byte{0x5a});
  EmbeddingLowbitArgs args;
  args.w = w.view();
  args.values = values;
  args.columns = w.layout().k;
  args.indices = index_bytes == 8 ? static_cast<const void*>(indices.data())
                                  : narrow.data();
  args.index_bytes = index_bytes;
  args.type = type;
  args.out = out.data() + 1;
  // In two parts, as threads do it.
  kernel.run(args, 0, count / 2);
  kernel.run(args, count / 2, count);
  EXPECT_EQ(out.front(), std::byte{0x5a}) << kernel.name;
  EXPECT_EQ(out.back(), std::byte{0x5a}) << kernel.name;
  return {out.begin() + 1, out.end() - 1};
}

// The product of two numbers of 24 bits is exact in a double and rounded to
// float32; a sum with an offset once to `values`. Either is then stored.
std::vector<std::byte> truth(const LowbitCaseWeight& w,
                             const std::vector<std::int64_t>& indices,
                             Element type,
                             LowbitScale values) {
  const std::int64_t k = w.layout().k;
  std::vector<std::byte> out(indices.size() *
                             static_cast<std::size_t>(k * element_bytes(type)));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int64_t row = indices[i];
      const double product = w.number_at(row, j) * w.scale_at(row, j);
      const float value =
          w.view().offsets == nullptr
              ? static_cast<float>(product)
              : rounded_to(sum_to_odd(product, w.offset_at(row, j)), values);
      store_element(
          type, out.data(), static_cast<std::int64_t>(i) * k + j, value);
    }
  }
  return out;
}

TEST(EmbeddingLowbitTest, RowsAreTheValuesOfTheCodes) {
  std::mt19937 random(1);
  for (const Case& c : cases()) {
    const LowbitLayout& layout = c.weight.layout;
    ASSERT_EQ(lowbit_layout_error(layout), nullptr) << name(c);
    const LowbitCaseWeight w(c.weight, random);
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < layout.n; ++i) indices.push_back(i);
    for (int i = 0; i < 9; ++i) {
      indices.push_back(static_cast<std::int64_t>(random() % layout.n));
    }
    for (const Element type : kTypes) {
      const auto want = truth(w, indices, type, c.values);
      for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
        if (kernel.refuses({}, host_caps()) != nullptr) continue;
        for (const int bytes : {4, 8}) {
          ASSERT_EQ(rows_of(kernel, w, indices, type, bytes, c.values), want)
              << kernel.name << " " << name(c) << " out "
              << static_cast<int>(type);
        }
      }
    }
  }
}

TEST(EmbeddingLowbitTest, NonFiniteScalesSpoilTheirGroupAlone) {
  std::mt19937 random(2);
  LowbitCaseWeight w({{4, 20, 96, 32}, true, LowbitScale::F16}, random);
  w.set_scale(5 * 3 + 1, std::numeric_limits<float>::quiet_NaN());
  for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    for (const Element type : kTypes) {
      const auto out = rows_of(kernel, w, {4, 5, 6}, type, 8);
      for (int i = 0; i < 3 * 96; ++i) {
        EXPECT_EQ(std::isnan(load_element(type, out.data(), i)),
                  i >= 96 + 32 && i < 96 + 64)
            << kernel.name << " " << i;
      }
    }
  }
}

// With two levels, those of their super-block.
TEST(EmbeddingLowbitTest, NonFiniteScalesSpoilTheirSuperBlockAlone) {
  std::mt19937 random(4);
  for (const std::int64_t group : {16, 32}) {
    LowbitCase weight;
    weight.layout = {4, 20, 192, group, true, 64};
    weight.type = LowbitScale::F16;
    weight.offsets = LowbitOffsets::Near;
    LowbitCaseWeight w(weight, random);
    w.set_scale(5 * 3 + 1, std::numeric_limits<float>::quiet_NaN());
    for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
      if (kernel.refuses({}, host_caps()) != nullptr) continue;
      for (const Element type : kTypes) {
        const auto out = rows_of(kernel, w, {4, 5, 6}, type, 8);
        for (int i = 0; i < 3 * 192; ++i) {
          EXPECT_EQ(std::isnan(load_element(type, out.data(), i)),
                    i >= 192 + 64 && i < 192 + 128)
              << kernel.name << " " << group << " " << i;
        }
      }
    }
  }
}

TEST(EmbeddingLowbitTest, EveryFloat8CodeIsWhatTheFormatDecodes) {
  std::mt19937 random(5);
  for (const LowbitCode code : {LowbitCode::E4m3, LowbitCode::E5m2}) {
    LowbitCaseWeight w({{8, 1, 256, 256}, false, LowbitScale::F32, false, code},
                       random);
    w.set_scale(0, 0.75f);
    for (int i = 0; i < 256; ++i) {
      w.set_float8(i, static_cast<std::uint8_t>(i));
    }
    for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
      if (kernel.refuses({}, host_caps()) != nullptr) continue;
      const auto out = rows_of(kernel, w, {0}, Element::F32, 8);
      for (int i = 0; i < 256; ++i) {
        const auto bits = static_cast<std::uint8_t>(i);
        const float want =
            0.75f * (code == LowbitCode::E4m3 ? Float8E4M3FN::decode(bits)
                                              : Float8E5M2::decode(bits));
        const float got = load_element(Element::F32, out.data(), i);
        if (std::isnan(want)) {
          EXPECT_TRUE(std::isnan(got)) << kernel.name << " " << i;
        } else {
          EXPECT_EQ(std::bit_cast<std::uint32_t>(got),
                    std::bit_cast<std::uint32_t>(want))
              << kernel.name << " " << i;
        }
      }
    }
  }
}

TEST(EmbeddingLowbitTest, NoIndicesWriteNothing) {
  std::mt19937 random(3);
  const LowbitCaseWeight w({{3, 4, 64, 64}}, random);
  for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
    if (kernel.refuses({}, host_caps()) != nullptr) continue;
    EXPECT_TRUE(rows_of(kernel, w, {}, Element::F32, 8).empty());
  }
}

}  // namespace
}  // namespace mantissa::kernels
