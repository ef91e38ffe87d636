// Packed linear and embedding weights: round trips of every width, and what
// readers refuse.
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/packed_embedding.h>
#include <mantissa/formats/packed_groupwise_lut.h>
#include <mantissa/formats/packed_linear.h>
#include <mantissa/formats/packed_weights_type.h>

#include "kernels/pack_cases.h"

namespace mantissa {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(ErrorKind kind, const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "nothing was refused";
}

std::string refused_input(const std::function<void()>& f) {
  return refusal(ErrorKind::Input, f);
}

std::string refused_usage(const std::function<void()>& f) {
  return refusal(ErrorKind::Usage, f);
}

HostTensor random_tensor(DType dtype, const Shape& shape, unsigned seed) {
  HostTensor out(dtype, shape);
  std::mt19937 random(seed);
  for (std::int64_t i = 0; i < out.nbytes(); ++i) {
    out.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(random());
  }
  return out;
}

HostTensor random_codes(const Shape& shape, int bits, bool is_signed) {
  HostTensor out(DType::Int8, shape);
  const auto range =
      is_signed ? kernels::CodeRange::Signed : kernels::CodeRange::Index;
  const auto codes = kernels::random_codes(bits, range, out.numel(), 9);
  std::memcpy(out.data(), codes.data(), codes.size());
  return out;
}

void expect_same(const HostTensor& got,
                 const HostTensor& want,
                 const std::string& what) {
  EXPECT_EQ(
      std::memcmp(
          got.data(), want.data(), static_cast<std::size_t>(want.nbytes())),
      0)
      << what;
}

// A weight with all its fields, packed.
struct Linear {
  PackedLinear w;
  HostTensor codes;
  HostTensor scale;
  HostTensor zero_point;
  HostTensor bias;
  HostTensor lut;
  std::vector<std::byte> packed;

  explicit Linear(const PackedLinear& weight) : w(weight) {
    const Shape groups = {w.n, w.k / w.group_size};
    codes = random_codes({w.n, w.k}, w.bits, w.luts == 0);
    scale = random_tensor(DType::Float32, groups, 1);
    zero_point = random_tensor(DType::Int8, groups, 2);
    bias = random_tensor(DType::Float32, {w.n}, 3);
    lut = random_tensor(DType::Int8, {w.luts, std::int64_t{1} << w.bits}, 4);
    packed.resize(static_cast<std::size_t>(packed_bytes(w)));
  }

  PackedLinearInput input() const {
    PackedLinearInput in{codes.view(), scale.view()};
    if (w.has_zero_point) in.zero_point = zero_point.view();
    if (w.has_bias) in.bias = bias.view();
    if (w.luts > 0) in.lut = lut.view();
    return in;
  }
  void pack(int workers = 1) { pack_linear(w, input(), packed, workers); }
  PackedLinear read() const {
    return read_packed_linear(packed, w.n, w.k, w.group_size, w.luts);
  }

  // Unpacks and compares.
  void check(int workers) const {
    Linear back(w);
    for (const HostTensor* tensor :
         {&back.codes, &back.scale, &back.zero_point, &back.bias, &back.lut}) {
      std::memset(
          tensor->data(), 0x5a, static_cast<std::size_t>(tensor->nbytes()));
    }
    const PackedLinear found = read();
    EXPECT_EQ(found.bits, w.bits);
    EXPECT_EQ(found.has_zero_point, w.has_zero_point);
    EXPECT_EQ(found.has_bias, w.has_bias);
    PackedLinearOutput out{back.codes.mutable_view(),
                           back.scale.mutable_view()};
    if (w.has_zero_point) out.zero_point = back.zero_point.mutable_view();
    if (w.has_bias) out.bias = back.bias.mutable_view();
    if (w.luts > 0) out.lut = back.lut.mutable_view();
    unpack_linear(found, packed, out, workers);
    expect_same(back.codes, codes, "codes");
    expect_same(back.scale, scale, "scale");
    if (w.has_zero_point) expect_same(back.zero_point, zero_point, "zeros");
    if (w.has_bias) expect_same(back.bias, bias, "bias");
    if (w.luts > 0) expect_same(back.lut, lut, "lut");
  }

  std::string unpack_refusal() const {
    return refused_input([&] {
      Linear back(w);
      PackedLinearOutput out{back.codes.mutable_view(),
                             back.scale.mutable_view()};
      if (w.has_zero_point) out.zero_point = back.zero_point.mutable_view();
      if (w.has_bias) out.bias = back.bias.mutable_view();
      if (w.luts > 0) out.lut = back.lut.mutable_view();
      unpack_linear(read(), packed, out);
    });
  }

  void set_int(std::size_t at, std::int32_t value) {
    std::memcpy(packed.data() + at, &value, 4);
  }
};

TEST(PackedLinearTest, EveryWidthComesBack) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t n : {1, 7, 8, 9, 41}) {
      for (const auto& [k, group] : {std::pair{48, 16}, {576, 64}, {96, 96}}) {
        for (int fields = 0; fields < 4; ++fields) {
          SCOPED_TRACE(std::to_string(bits) + " bits [" + std::to_string(n) +
                       ", " + std::to_string(k) + "] fields " +
                       std::to_string(fields));
          Linear weight({n, k, group, bits, fields % 2 == 1, fields >= 2});
          weight.pack();
          weight.check(1);
        }
      }
    }
  }
}

TEST(PackedLinearTest, TablesComeBack) {
  for (int bits = 1; bits <= 4; ++bits) {
    for (const auto& [n, luts] : {std::pair{5, 1}, {24, 1}, {24, 3}, {32, 2}}) {
      SCOPED_TRACE(std::to_string(bits) + " bits, n " + std::to_string(n));
      Linear weight({n, 96, 48, bits, false, true, luts});
      weight.pack();
      weight.check(1);
    }
  }
}

// A weight of several tasks, large enough for stores past the caches.
TEST(PackedLinearTest, AnyNumberOfWorkersGivesTheSameBytes) {
  Linear one({4099, 2304, 64, 5, true, true});
  Linear three(one.w);
  one.pack(1);
  three.pack(3);
  EXPECT_EQ(one.packed, three.packed);
  one.check(1);
  one.check(3);
  Linear tables({4096, 2048, 64, 3, false, false, 2});
  tables.pack(2);
  tables.check(2);
}

TEST(PackedLinearTest, TheFirstCodeOutOfRangeIsNamed) {
  Linear weight({4099, 2304, 64, 4, false, false});
  auto* codes = weight.codes.as<std::int8_t>();
  for (const std::int64_t at : {4098L * 2304 + 7, 2048L * 2304 + 5, 17L}) {
    codes[at] = 8;
    for (const int workers : {1, 3}) {
      EXPECT_THAT(refused_input([&] { weight.pack(workers); }),
                  AllOf(HasSubstr("codes: 8 at [" + std::to_string(at / 2304) +
                                  ", " + std::to_string(at % 2304) + "]"),
                        HasSubstr("4 bits hold -8 to 7")));
    }
  }
  Linear table({8, 32, 32, 2, false, false, 1});
  table.codes.as<std::int8_t>()[33] = 4;
  EXPECT_THAT(refused_input([&] { table.pack(); }),
              HasSubstr("codes: 4 at [1, 1] (index 33) is out of range: 2 bits "
                        "hold 0 to 3"));
}

TEST(PackedLinearTest, SizesThatDoNotFitAreRefused) {
  const auto size = [](const PackedLinear& w) {
    return refused_usage([&] { packed_bytes(w); });
  };
  EXPECT_THAT(size({8, 576, 128, 4}),
              HasSubstr("a multiple of 16 that divides k = 576 (96 does), got "
                        "128"));
  EXPECT_THAT(size({8, 64, 48, 4}), HasSubstr("(32 does), got 48"));
  EXPECT_THAT(size({8, 1 << 20, 5000, 4}), HasSubstr("(4096 does), got 5000"));
  EXPECT_THAT(size({8, 100, 32, 4}), HasSubstr("k: expected a multiple of 16"));
  EXPECT_THAT(size({8, 64, 8, 4}), HasSubstr("group_size"));
  EXPECT_THAT(size({8, 64, 0, 4}), HasSubstr("group_size"));
  EXPECT_THAT(size({8, 64, -16, 4}), HasSubstr("group_size"));
  EXPECT_THAT(size({0, 64, 32, 4}), HasSubstr("at least one row"));
  EXPECT_THAT(size({-8, 64, 32, 4}), HasSubstr("at least one row"));
  EXPECT_THAT(size({8, 64, 32, 9}), HasSubstr("bits: expected 1 to 8, got 9"));
  EXPECT_THAT(size({8, 64, 32, 5, false, false, 1}),
              HasSubstr("bits: expected 1 to 4, got 5"));
  EXPECT_THAT(size({24, 64, 32, 2, false, false, 2}), HasSubstr("luts"));
  EXPECT_THAT(size({24, 64, 32, 2, true, false, 1}), HasSubstr("zero_point"));
  constexpr std::int64_t kMany = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT(size({kMany, 64, 32, 4}), HasSubstr("64 bits"));
  EXPECT_THAT(size({kMany / 64, kMany / 16 * 16, 16, 4}), HasSubstr("64 bits"));
  // 262144 x 8192 at 8 bits: more than 2^31 bytes and codes.
  EXPECT_EQ(packed_bytes(PackedLinear{262144, 8192, 32, 8}),
            64 + std::int64_t{262144} * (8192 + 8 * 256));
}

TEST(PackedLinearTest, FieldsThatDoNotFitAreRefused) {
  const Linear weight({8, 64, 32, 4, true, false});
  const auto packing = [&](const std::function<void(PackedLinearInput&)>& f) {
    PackedLinearInput in = weight.input();
    f(in);
    std::vector<std::byte> packed(weight.packed.size());
    return refused_usage([&] { pack_linear(weight.w, in, packed); });
  };
  EXPECT_THAT(packing([](auto& in) {
                in.codes.shape = {8, 32};
              }),
              HasSubstr("codes: expected int8 [8, 64], got int8 [8, 32]"));
  EXPECT_THAT(packing([](auto& in) { in.scale.dtype = DType::BFloat16; }),
              HasSubstr("scale: expected float32 [8, 2]"));
  EXPECT_THAT(packing([](auto& in) { in.zero_point.reset(); }),
              HasSubstr("zero_point: missing"));
  EXPECT_THAT(packing([](auto& in) { in.bias = in.scale; }),
              HasSubstr("bias: the packed weight has none"));
  EXPECT_THAT(packing([](auto& in) { in.codes.data = nullptr; }),
              HasSubstr("without data"));
}

TEST(PackedLinearTest, HostileHeadersAreRefused) {
  Linear weight({10, 64, 32, 4, true, true});
  weight.pack();
  const auto with = [&](std::size_t word, std::int32_t value) {
    Linear copy = weight;
    copy.set_int(4 * word, value);
    return refused_input([&] { (void)copy.read(); });
  };
  EXPECT_THAT(with(0, 6713), HasSubstr("magic: expected 6712, got 6713"));
  EXPECT_THAT(with(1, 0), HasSubstr("type: expected 1 to 5, got 0"));
  EXPECT_THAT(with(1, 6), HasSubstr("type: expected 1 to 5, got 6"));
  EXPECT_THAT(with(1, 2), HasSubstr("type: expected 1 or 4"));
  EXPECT_THAT(with(1, 3), HasSubstr("KleidiAI"));
  EXPECT_THAT(with(1, 5), HasSubstr("type: expected 1 or 4"));
  EXPECT_THAT(with(2, 0), HasSubstr("bits: expected 1 to 8, got 0"));
  EXPECT_THAT(with(2, 9), HasSubstr("bits: expected 1 to 8, got 9"));
  EXPECT_THAT(with(2, 5), HasSubstr("bytes for these sizes"));
  EXPECT_THAT(with(3, 2), HasSubstr("has_weight_zeros: expected 0 or 1"));
  EXPECT_THAT(with(3, 0), HasSubstr("bytes for these sizes"));
  EXPECT_THAT(with(4, -1), HasSubstr("has_bias: expected 0 or 1, got -1"));
  EXPECT_THAT(with(5, 4), HasSubstr("nr: expected 8, got 4"));
  EXPECT_THAT(with(6, 8), HasSubstr("kr: expected 16, got 8"));
  EXPECT_THAT(with(7, 1), HasSubstr("sr: expected 2, got 1"));
  EXPECT_THAT(with(8, 1), HasSubstr("unused parameter 6: expected 0, got 1"));
  EXPECT_THAT(with(15, 1), HasSubstr("unused parameter 13"));
  for (const std::size_t size : {0U, 1U, 63U, 64U, 100U}) {
    Linear copy = weight;
    copy.packed.resize(size);
    EXPECT_THAT(refused_input([&] { (void)copy.read(); }), HasSubstr("bytes"));
  }
  Linear longer = weight;
  longer.packed.emplace_back();
  EXPECT_THAT(refused_input([&] { (void)longer.read(); }), HasSubstr("bytes"));
  EXPECT_THAT(refused_usage([&] {
                (void)read_packed_linear(weight.packed, 10, 64, 32, 1);
              }),
              HasSubstr("luts: the weight is linear (universal)"));
  EXPECT_THAT(refused_usage([&] {
                (void)read_packed_linear(
                    weight.packed, INT64_MAX, INT64_MAX / 16 * 16, 16);
              }),
              HasSubstr("64 bits"));
  EXPECT_THAT(refused_input([&] {
                (void)read_packed_linear(weight.packed, 10, 128, 32);
              }),
              HasSubstr("bytes for these sizes"));
}

TEST(PackedLinearTest, DamagedBodiesAreRefused) {
  Linear weight({10, 64, 32, 4, true, true});
  weight.pack();
  // A group of a strip: 128 bytes of codes, scales, sums, zero points; a strip:
  // two groups and the bias.
  constexpr std::size_t kSums = 64 + 128 + 32;
  constexpr std::size_t kStrip = 2 * (128 + 96) + 32;
  const auto with = [&](std::size_t at, std::int32_t value) {
    Linear copy = weight;
    copy.set_int(at, value);
    return copy.unpack_refusal();
  };
  EXPECT_THAT(with(kSums + 4, 100000),
              AllOf(HasSubstr("row 1, group 0: sum of the codes"),
                    HasSubstr("got 100000")));
  EXPECT_THAT(with(kSums + 32 + 12, 128),
              HasSubstr("row 3, group 0: zero point: expected -128 to 127, "
                        "got 128"));
  EXPECT_THAT(with(kStrip + kSums, 1 << 20), HasSubstr("row 8, group 0: sum"));
  EXPECT_THAT(with(kStrip + kSums + 8, 1), HasSubstr("row 10, group 0: sum"));
  // Scale, zero point and bias of a row that is padding.
  EXPECT_THAT(with(kStrip + kSums - 32 + 8, 1), HasSubstr("padding"));
  EXPECT_THAT(with(kStrip + kSums + 32 + 8, 1), HasSubstr("padding"));
  EXPECT_THAT(with(weight.packed.size() - 4, 1), HasSubstr("padding"));
}

TEST(PackedLinearTest, DamagedTablesAreRefused) {
  Linear weight({20, 32, 32, 2, false, false, 1});
  weight.pack();
  constexpr std::size_t kStrip = 16 + 64 + 64;
  const auto with = [&](std::size_t at) {
    Linear copy = weight;
    copy.packed[at] ^= std::byte{1};
    return copy.unpack_refusal();
  };
  EXPECT_THAT(with(64 + kStrip), HasSubstr("strip 1: table"));
  EXPECT_THAT(with(64 + 4), HasSubstr("strip 0: table"));
  EXPECT_THAT(with(64 + 16), HasSubstr("sum of the codes"));
  // Rows 20 to 23 are padding: their sums are 0.
  EXPECT_THAT(with(64 + 2 * kStrip + 16 + 64 + 32 + 16),
              HasSubstr("row 20, group 0: sum of the codes: expected 0"));
}

TEST(PackedEmbeddingTest, EveryWidthAndDimensionComesBack) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (std::int64_t columns = 32; columns <= 416; columns += 32) {
      for (const std::int64_t rows : {1, 3, 67}) {
        const PackedEmbedding e{rows, columns, bits};
        const HostTensor codes = random_codes({rows, columns}, bits, true);
        std::vector<std::byte> packed(
            static_cast<std::size_t>(packed_bytes(e)));
        pack_embedding(e, codes.view(), packed);
        const PackedEmbedding found =
            read_packed_embedding(packed, rows, columns);
        EXPECT_EQ(found.bits, bits);
        HostTensor back(DType::Int8, {rows, columns});
        unpack_embedding(found, packed, back.mutable_view());
        expect_same(
            back,
            codes,
            std::to_string(bits) + " bits, columns " + std::to_string(columns));
      }
    }
  }
}

TEST(PackedEmbeddingTest, AnyNumberOfWorkersGivesTheSameBytes) {
  const PackedEmbedding e{20000, 576, 4};
  const HostTensor codes = random_codes({e.rows, e.columns}, e.bits, true);
  std::vector<std::byte> one(static_cast<std::size_t>(packed_bytes(e)));
  std::vector<std::byte> three(one.size());
  pack_embedding(e, codes.view(), one, 1);
  pack_embedding(e, codes.view(), three, 3);
  EXPECT_EQ(one, three);
  HostTensor back(DType::Int8, codes.shape());
  unpack_embedding(e, one, back.mutable_view(), 3);
  expect_same(back, codes, "codes");
  codes.as<std::int8_t>()[19999 * 576 + 570] = -9;
  codes.as<std::int8_t>()[4 * 576 + 550] = 100;
  EXPECT_THAT(refused_input([&] { pack_embedding(e, codes.view(), one, 3); }),
              HasSubstr("codes: 100 at [4, 550] (index 2854)"));
}

TEST(PackedEmbeddingTest, HostileInputIsRefused) {
  const PackedEmbedding e{3, 96, 3};
  const HostTensor codes = random_codes({3, 96}, 3, true);
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(e)));
  pack_embedding(e, codes.view(), packed);
  const auto with = [&](std::size_t word, std::int32_t value) {
    auto copy = packed;
    std::memcpy(copy.data() + 4 * word, &value, 4);
    return refused_input([&] { (void)read_packed_embedding(copy, 3, 96); });
  };
  EXPECT_THAT(with(1, 1), HasSubstr("type: expected 2 (embedding), got 1"));
  EXPECT_THAT(with(2, 2), HasSubstr("version: expected 1, got 2"));
  EXPECT_THAT(with(3, 0), HasSubstr("bits: expected 1 to 8, got 0"));
  EXPECT_THAT(with(3, 4), HasSubstr("bytes for these sizes"));
  EXPECT_THAT(with(4, 64), HasSubstr("smallest block: expected 32, got 64"));
  EXPECT_THAT(with(5, 64), HasSubstr("largest block: expected 128, got 64"));
  EXPECT_THAT(with(6, 1), HasSubstr("unused parameter 4"));
  const auto sizes = [&](std::int64_t rows, std::int64_t columns) {
    return refused_usage(
        [&] { (void)read_packed_embedding(packed, rows, columns); });
  };
  EXPECT_THAT(sizes(3, 40), HasSubstr("multiple of 32"));
  EXPECT_THAT(sizes(0, 96), HasSubstr("at least one row"));
  EXPECT_THAT(sizes(INT64_MAX, 96), HasSubstr("64 bits"));
  EXPECT_THAT(
      refused_input([&] { (void)read_packed_embedding(packed, 4, 96); }),
      HasSubstr("bytes for these sizes"));
}

// torchao's formula, on codes as they went in.
TEST(PackedEmbeddingTest, RowsAreLookedUpOneByOne) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const auto& [columns, groups] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{
             {32, 1}, {96, 3}, {224, 1}, {576, 9}}) {
      const PackedEmbedding e{67, columns, bits};
      const HostTensor codes = random_codes({e.rows, columns}, bits, true);
      std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(e)));
      pack_embedding(e, codes.view(), packed);
      HostTensor scale(DType::Float32, {e.rows, groups});
      for (std::int64_t i = 0; i < scale.numel(); ++i) {
        scale.as<float>()[i] = 0.01f * static_cast<float>(i - 7);
      }
      const HostTensor zero = random_tensor(DType::Int8, {e.rows, groups}, 2);
      HostTensor wide(DType::Int64, {5});
      HostTensor narrow(DType::Int32, {5});
      for (int i = 0; i < 5; ++i) {
        wide.as<std::int64_t>()[i] = narrow.as<std::int32_t>()[i] = i * 29 % 67;
      }
      for (const HostTensor* indices : {&wide, &narrow}) {
        HostTensor values(DType::Float32, {5, columns});
        look_up_packed_embedding(e,
                                 packed,
                                 {scale.view(), zero.view()},
                                 indices->view(),
                                 values.mutable_view());
        for (std::int64_t i = 0; i < 5 * columns; ++i) {
          const std::int64_t row = i / columns * 29 % 67;
          const std::int64_t column = i % columns;
          const std::int64_t g = row * groups + column * groups / columns;
          const float want =
              (static_cast<float>(
                   codes.as<std::int8_t>()[row * columns + column]) -
               static_cast<float>(zero.as<std::int8_t>()[g])) *
              scale.as<float>()[g];
          ASSERT_EQ(values.as<float>()[i], want) << bits << " " << i;
        }
      }
    }
  }
}

TEST(PackedEmbeddingTest, LookUpsThatDoNotFitAreRefused) {
  const PackedEmbedding e{3, 96, 4};
  const HostTensor codes = random_codes({3, 96}, 4, true);
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(e)));
  pack_embedding(e, codes.view(), packed);
  const auto refused = [&](const Shape& groups,
                           std::int64_t index,
                           DType index_dtype = DType::Int64) {
    const HostTensor scale = random_tensor(DType::Float32, groups, 1);
    const HostTensor zero = random_tensor(DType::Int8, groups, 2);
    HostTensor indices(index_dtype, {2});
    std::memset(indices.data(), 0, static_cast<std::size_t>(indices.nbytes()));
    std::memcpy(indices.data() + indices.nbytes() / 2,
                &index,
                static_cast<std::size_t>(indices.nbytes() / 2));
    HostTensor values(DType::Float32, {2, 96});
    return refused_usage([&] {
      look_up_packed_embedding(e,
                               packed,
                               {scale.view(), zero.view()},
                               indices.view(),
                               values.mutable_view());
    });
  };
  EXPECT_THAT(refused({3, 1}, 3), HasSubstr("indices: 3 at [1] is outside"));
  EXPECT_THAT(refused({3, 3}, -1), HasSubstr("-1 at [1] is outside [0, 3)"));
  EXPECT_THAT(refused({3, 1}, 3, DType::Int32), HasSubstr("3 at [1]"));
  EXPECT_THAT(refused({3, 1}, 0, DType::Int16), HasSubstr("indices"));
  EXPECT_THAT(refused({3, 2}, 0), HasSubstr("multiple of 32 columns"));
  EXPECT_THAT(refused({3, 6}, 0), HasSubstr("multiple of 32 columns"));
  EXPECT_THAT(refused({4, 1}, 0), HasSubstr("scale"));
  HostTensor short_values(DType::Float32, {1, 96});
  const HostTensor scale = random_tensor(DType::Float32, {3, 1}, 1);
  const HostTensor zero = random_tensor(DType::Int8, {3, 1}, 2);
  const HostTensor indices(DType::Int64, {0});
  EXPECT_THAT(refused_usage([&] {
                look_up_packed_embedding(e,
                                         packed,
                                         {scale.view(), zero.view()},
                                         indices.view(),
                                         short_values.mutable_view());
              }),
              HasSubstr("values"));
}

TEST(PackedGroupwiseLutTest, RowsAndGroupsOfEveryKindComeBack) {
  for (int bits = 1; bits <= 4; ++bits) {
    for (const std::int64_t n : {1, 4, 23}) {
      PackedGroupwiseLut w{n, 192, 64, 2 * 4 * 192, bits, true, true};
      const HostTensor codes = random_codes({n, w.k}, bits, false);
      const HostTensor lut = random_tensor(
          DType::Float32, {lut_count(w), std::int64_t{1} << bits}, 1);
      const HostTensor scale = random_tensor(DType::Float32, {n, 3}, 2);
      const HostTensor bias = random_tensor(DType::Float32, {n}, 3);
      const ConstTensorView indices{DType::UInt8, {n, w.k}, codes.data()};
      std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
      pack_groupwise_lut(
          w, {indices, lut.view(), scale.view(), bias.view()}, packed, 2);
      HostTensor indices_back(DType::UInt8, {n, w.k});
      HostTensor lut_back(DType::Float32, lut.shape());
      HostTensor scale_back(DType::Float32, scale.shape());
      HostTensor bias_back(DType::Float32, bias.shape());
      unpack_groupwise_lut(read_packed_groupwise_lut(packed, n, w.k),
                           packed,
                           {indices_back.mutable_view(),
                            lut_back.mutable_view(),
                            scale_back.mutable_view(),
                            bias_back.mutable_view()},
                           2);
      expect_same(indices_back, codes, "indices");
      expect_same(lut_back, lut, "lut");
      expect_same(scale_back, scale, "scale");
      expect_same(bias_back, bias, "bias");
    }
  }
}

TEST(PackedGroupwiseLutTest, HostileInputIsRefused) {
  const PackedGroupwiseLut w{6, 64, 32, 256, 2, true, false};
  const HostTensor codes = random_codes({6, 64}, 2, false);
  const ConstTensorView indices{DType::UInt8, {6, 64}, codes.data()};
  const HostTensor lut = random_tensor(DType::Float32, {2, 4}, 1);
  const HostTensor scale = random_tensor(DType::Float32, {6, 2}, 2);
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
  const PackedGroupwiseLutInput input{indices, lut.view(), scale.view()};
  pack_groupwise_lut(w, input, packed);
  const auto read = [](const std::vector<std::byte>& bytes) {
    return read_packed_groupwise_lut(bytes, 6, 64);
  };
  const auto with = [&](std::size_t word, std::int32_t value) {
    auto copy = packed;
    std::memcpy(copy.data() + 4 * word, &value, 4);
    return copy;
  };
  const auto input_refusal = [&](std::size_t word, std::int32_t value) {
    return refused_input([&] { (void)read(with(word, value)); });
  };
  const auto usage_refusal = [&](std::size_t word, std::int32_t value) {
    return refused_usage([&] { (void)read(with(word, value)); });
  };
  EXPECT_THAT(input_refusal(1, 4), HasSubstr("type: expected 5"));
  EXPECT_THAT(input_refusal(2, 5), HasSubstr("bits: expected 1 to 4, got 5"));
  EXPECT_THAT(usage_refusal(3, 0), HasSubstr("scale_group_size"));
  EXPECT_THAT(usage_refusal(3, 48), HasSubstr("scale_group_size"));
  EXPECT_THAT(usage_refusal(4, 128), HasSubstr("lut_group_size"));
  EXPECT_THAT(input_refusal(5, 2), HasSubstr("has_scales: expected 0 or 1"));
  EXPECT_THAT(input_refusal(7, 8), HasSubstr("nr: expected 4, got 8"));
  EXPECT_THAT(input_refusal(10, 8), HasSubstr("unused parameter 8"));
  const auto body_refusal = [&](std::size_t at) {
    auto copy = packed;
    copy[at] ^= std::byte{1};
    HostTensor indices_back(DType::UInt8, {6, 64});
    HostTensor lut_back(DType::Float32, {2, 4});
    HostTensor scale_back(DType::Float32, {6, 2});
    return refused_input([&] {
      unpack_groupwise_lut(w,
                           copy,
                           {indices_back.mutable_view(),
                            lut_back.mutable_view(),
                            scale_back.mutable_view()});
    });
  };
  // A strip: 64 bytes of table, twice 16 of scales and 32 of indices.
  EXPECT_THAT(body_refusal(64 + 16), HasSubstr("zeros behind 4 entries"));
  EXPECT_THAT(body_refusal(64 + 160 + 64 + 8), HasSubstr("padding"));
  const std::size_t last = packed.size() - 1;
  EXPECT_THAT(body_refusal(last), HasSubstr("padding"));
  codes.as<std::int8_t>()[70] = 4;
  EXPECT_THAT(refused_input([&] { pack_groupwise_lut(w, input, packed); }),
              HasSubstr("indices: 4 at [1, 6] (index 70)"));
}

TEST(PackedWeightsTypeTest, NamesEveryType) {
  std::vector<std::byte> packed(64);
  for (std::int32_t type = 1; type <= 5; ++type) {
    const std::int32_t words[] = {6712, type};
    std::memcpy(packed.data(), words, sizeof(words));
    EXPECT_EQ(packed_weights_type(packed),
              static_cast<PackedWeightsType>(type));
  }
  EXPECT_EQ(name(PackedWeightsType::LinearKleidiAI), "linear (KleidiAI)");
  EXPECT_THAT(refused_input([] { (void)packed_weights_type({}); }),
              HasSubstr("a header of 64 bytes, got 0"));
}

}  // namespace
}  // namespace mantissa
