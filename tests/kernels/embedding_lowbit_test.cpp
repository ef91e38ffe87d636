#include "kernels/embedding_lowbit.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/common/load_element.h"
#include "kernels/common/store_element.h"
#include "kernels/lowbit_cases.h"

namespace mantissa::kernels {
namespace {

constexpr Element kTypes[] = {Element::F32, Element::Bf16, Element::F16};

// Rows of the layouts that differ: groups, one scale a row with and without a
// whole last chunk, rows that do not fill a tile.
std::vector<LowbitCase> cases() {
  std::vector<LowbitCase> out;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const auto& [n, k, group] :
         std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>{
             {1, 32, 32},
             {17, 96, 32},
             {33, 576, 64},
             {16, 256, 128},
             {5, 1, 1},
             {20, 33, 33},
             {7, 100, 100}}) {
      for (const bool zeros : {false, true}) {
        for (const LowbitScale type :
             {LowbitScale::Bf16, LowbitScale::F16, LowbitScale::F32}) {
          out.push_back({{bits, n, k, group}, zeros, type, n == 16});
        }
      }
    }
  }
  return out;
}

std::vector<std::byte> rows_of(const EmbeddingLowbitKernel& kernel,
                               const LowbitCaseWeight& w,
                               const std::vector<std::int64_t>& indices,
                               Element type,
                               int index_bytes) {
  const std::vector<std::int32_t> narrow(indices.begin(), indices.end());
  const auto count = static_cast<std::int64_t>(indices.size());
  const auto bytes =
      static_cast<std::size_t>(count * w.layout().k * element_bytes(type));
  std::vector<std::byte> out(bytes + 2, std::byte{0x5a});
  EmbeddingLowbitArgs args;
  args.w = w.view();
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

// The product of two numbers of 24 bits is exact in a double; rounded to
// float32 and stored.
std::vector<std::byte> truth(const LowbitCaseWeight& w,
                             const std::vector<std::int64_t>& indices,
                             Element type) {
  const std::int64_t k = w.layout().k;
  std::vector<std::byte> out(indices.size() *
                             static_cast<std::size_t>(k * element_bytes(type)));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    for (std::int64_t j = 0; j < k; ++j) {
      store_element(type,
                    out.data(),
                    static_cast<std::int64_t>(i) * k + j,
                    static_cast<float>(w.value_at(indices[i], j)));
    }
  }
  return out;
}

TEST(EmbeddingLowbitTest, RowsAreTheValuesOfTheCodes) {
  std::mt19937 random(1);
  for (const LowbitCase& c : cases()) {
    const LowbitCaseWeight w(c, random);
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < c.layout.n; ++i) indices.push_back(i);
    for (int i = 0; i < 9; ++i) {
      indices.push_back(static_cast<std::int64_t>(random() % c.layout.n));
    }
    for (const Element type : kTypes) {
      const auto want = truth(w, indices, type);
      for (const EmbeddingLowbitKernel& kernel : embedding_lowbit_kernels()) {
        if (kernel.refuses({}, host_caps()) != nullptr) continue;
        for (const int bytes : {4, 8}) {
          ASSERT_EQ(rows_of(kernel, w, indices, type, bytes), want)
              << kernel.name << " bits " << c.layout.bits << " [" << c.layout.n
              << ", " << c.layout.k << "] group " << c.layout.group << " zeros "
              << c.zeros << " scales " << static_cast<int>(c.type) << " out "
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
