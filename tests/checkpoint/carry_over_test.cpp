#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/primitives/float_casts.h>

#include "checkpoint/carry_over.h"
#include "checkpoint/ggml_blocks.h"
#include "support/encode_blocks.h"

namespace mantissa {
namespace {

using testing::HasSubstr;
using EncodingPtr = std::shared_ptr<const Encoding>;

constexpr std::int64_t kGroup = 32;
constexpr DType kDtypes[] = {DType::Float32, DType::BFloat16, DType::Float16};

EncodingPtr int8_of(const Shape& shape, DType dtype, std::int64_t group = 32) {
  return make_int8_encoding(shape, dtype, {.granularity = PerGroup{group}});
}

EncodingPtr intx_of(const Shape& shape,
                    DType dtype,
                    DType target = DType::Int4,
                    DType scale = DType::Float32) {
  return make_intx_encoding(shape,
                            dtype,
                            {.target_dtype = target,
                             .granularity = PerGroup{kGroup},
                             .scale_dtype = scale});
}

EncodingPtr int4_of(const Shape& shape, DType dtype = DType::Float32) {
  return make_int4_encoding(shape, dtype, {.group_size = kGroup});
}

SourceTensor source_of(const GgmlTypeInfo& type,
                       const Shape& shape,
                       DType dtype) {
  return {"w", dtype, shape, std::string(type.name), 0};
}

const GgmlTypeInfo& type_of(GgmlType type) {
  return *find_ggml_type(static_cast<std::uint32_t>(type));
}

std::vector<std::uint16_t> finite_halves() {
  std::vector<std::uint16_t> halves;
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7c00) != 0x7c00) {
      halves.push_back(static_cast<std::uint16_t>(bits));
    }
  }
  return halves;
}

void append_half(std::vector<std::byte>& out, std::uint16_t bits) {
  out.push_back(static_cast<std::byte>(bits & 0xff));
  out.push_back(static_cast<std::byte>(bits >> 8));
}

// Encodes the stored rows in blocks, the last one first, as a pipeline might.
EncodedTensor carry(const SourceTensor& tensor,
                    const EncodingPtr& encoding,
                    const std::vector<std::byte>& stored) {
  const auto encoder = make_carry_encoder(tensor, encoding);
  if (encoder == nullptr) throw std::logic_error("not carried");
  support::CountingSink sink(encoding->fields());
  const MatrixShape shape = matrix_shape(tensor.shape);
  const auto row_bytes =
      static_cast<std::int64_t>(stored.size()) / (shape.matrices * shape.rows);
  constexpr std::int64_t kStep = 5;
  for (std::int64_t matrix = shape.matrices - 1; matrix >= 0; --matrix) {
    for (std::int64_t row = (shape.rows - 1) / kStep * kStep; row >= 0;
         row -= kStep) {
      const std::int64_t rows = std::min(kStep, shape.rows - row);
      encoder->encode({matrix, row, rows},
                      {DType::UInt8,
                       {rows, row_bytes},
                       stored.data() + (matrix * shape.rows + row) * row_bytes},
                      sink);
    }
  }
  EXPECT_TRUE(sink.complete());
  return {encoding, sink.tensors};
}

float element(ConstTensorView values, std::int64_t i) {
  if (values.dtype == DType::Float32) return values.as<float>()[i];
  const std::uint16_t bits = values.as<std::uint16_t>()[i];
  return values.dtype == DType::BFloat16 ? bfloat16_to_float(bits)
                                         : float16_to_float(bits);
}

// decode(carried) == ggml's value rounded once; zeros may differ in sign.
void expect_equal_values(const GgmlTypeInfo& type,
                         const std::vector<std::byte>& stored,
                         const EncodedTensor& carried) {
  const HostTensor ours = carried.decode();
  HostTensor ggml(ours.dtype(), ours.shape());
  convert_blocks(type,
                 stored.data(),
                 ours.numel() / type.block_size,
                 ours.dtype(),
                 ggml.data());
  for (std::int64_t i = 0; i < ours.numel(); ++i) {
    ASSERT_EQ(element(ours.view(), i), element(ggml.view(), i))
        << name(ours.dtype()) << " at " << i;
  }
}

// A row for each of some scales; the codes of a row are all the type has.
std::vector<std::byte> every_code(GgmlType type,
                                  std::span<const std::uint16_t> scales) {
  std::vector<std::byte> stored;
  for (const std::uint16_t d : scales) {
    const int blocks = type == GgmlType::Q8_0 ? 8 : 1;
    for (int b = 0; b < blocks; ++b) {
      append_half(stored, d);
      if (type == GgmlType::Q5_0) {
        // Low nibbles 0 to 15 without the fifth bit, high ones 15 to 0 with it.
        for (const int high : {0, 0, 0xff, 0xff}) {
          stored.push_back(static_cast<std::byte>(high));
        }
      }
      for (int i = 0; i < (type == GgmlType::Q8_0 ? 32 : 16); ++i) {
        stored.push_back(static_cast<std::byte>(
            type == GgmlType::Q8_0 ? b * 32 + i : i | (15 - i) << 4));
      }
    }
  }
  return stored;
}

template <class Make>
void expect_every_scale_and_code(GgmlType number, const Make& make) {
  const GgmlTypeInfo& type = type_of(number);
  const std::vector<std::uint16_t> halves = finite_halves();
  const std::int64_t columns = number == GgmlType::Q8_0 ? 256 : 32;
  constexpr std::size_t kRows = 4096;
  for (std::size_t first = 0; first < halves.size(); first += kRows) {
    const auto part = std::span(halves).subspan(
        first, std::min(kRows, halves.size() - first));
    const std::vector<std::byte> stored = every_code(number, part);
    const Shape shape = {static_cast<std::int64_t>(part.size()), columns};
    for (const DType dtype : kDtypes) {
      const SourceTensor tensor = source_of(type, shape, dtype);
      expect_equal_values(
          type, stored, carry(tensor, make(shape, dtype), stored));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(CarryOver, Q8ToInt8IsExactForEveryScaleAndCode) {
  expect_every_scale_and_code(
      GgmlType::Q8_0,
      [](const Shape& shape, DType dtype) { return int8_of(shape, dtype); });
}

TEST(CarryOver, Q4ToInt8IsExactForEveryScaleAndCode) {
  expect_every_scale_and_code(
      GgmlType::Q4_0,
      [](const Shape& shape, DType dtype) { return int8_of(shape, dtype); });
}

TEST(CarryOver, Q4ToIntxIsExactForEveryScaleAndCode) {
  expect_every_scale_and_code(
      GgmlType::Q4_0,
      [](const Shape& shape, DType dtype) { return intx_of(shape, dtype); });
}

// What products with the codes of a GGUF file take: its own scales.
TEST(CarryOver, EveryWidthToIntxWithHalfScalesIsExact) {
  const std::tuple<GgmlType, DType, DType> cases[] = {
      {GgmlType::Q4_0, DType::Int4, DType::Float16},
      {GgmlType::Q5_0, DType::Int5, DType::Float16},
      {GgmlType::Q5_0, DType::Int5, DType::Float32},
      {GgmlType::Q8_0, DType::Int8, DType::Float16}};
  for (const auto& [type, width, scale] : cases) {
    expect_every_scale_and_code(
        type, [width = width, scale = scale](const Shape& shape, DType dtype) {
          return intx_of(shape, dtype, width, scale);
        });
  }
}

// Every bit of the 32 has its place.
TEST(CarryOver, FifthBitsBelongToTheirCodes) {
  const GgmlTypeInfo& type = type_of(GgmlType::Q5_0);
  std::mt19937 random(7);
  constexpr std::int64_t kRows = 300;
  std::vector<std::byte> stored;
  for (std::int64_t row = 0; row < kRows; ++row) {
    append_half(stored, float_to_float16(0.5f));
    const std::uint32_t one = row < 32 ? 1u << row : random();
    for (int i = 0; i < 4; ++i) {
      stored.push_back(static_cast<std::byte>(one >> 8 * i & 0xff));
    }
    for (int i = 0; i < 16; ++i) {
      stored.push_back(static_cast<std::byte>(random() & 0xff));
    }
  }
  const Shape shape = {kRows, kGroup};
  const SourceTensor tensor = source_of(type, shape, DType::Float32);
  expect_equal_values(
      type,
      stored,
      carry(tensor,
            intx_of(shape, DType::Float32, DType::Int5, DType::Float16),
            stored));
}

std::vector<std::byte> q4_1_block(std::uint16_t d, std::uint16_t m) {
  std::vector<std::byte> block;
  append_half(block, d);
  append_half(block, m);
  for (int i = 0; i < 16; ++i) {
    block.push_back(static_cast<std::byte>(i | (15 - i) << 4));
  }
  return block;
}

// m + 8 d needs no more bits than float32 has.
bool zero_point_fits(std::uint16_t d, std::uint16_t m) {
  const double zero = static_cast<double>(float16_to_float(m)) +
                      8 * static_cast<double>(float16_to_float(d));
  return static_cast<double>(static_cast<float>(zero)) == zero;
}

// Every d with several m, as far as the zero point fits: a quantizer's m is
// between -15 d and 0, most of these are far from that.
TEST(CarryOver, Q4_1ToInt4IsExactWhereTheZeroPointFits) {
  const GgmlTypeInfo& type = type_of(GgmlType::Q4_1);
  const std::vector<std::uint16_t> halves = finite_halves();
  std::mt19937 random(4);
  std::vector<std::byte> stored;
  std::int64_t rows = 0;
  for (const std::uint16_t d : halves) {
    for (int i = 0; i < 4; ++i) {
      std::uint16_t m = halves[random() % halves.size()];
      if (i < 2) m = float_to_float16(-float16_to_float(d) * (1 + 7 * i));
      if ((m & 0x7c00) == 0x7c00 || !zero_point_fits(d, m)) continue;
      const auto block = q4_1_block(d, m);
      stored.insert(stored.end(), block.begin(), block.end());
      ++rows;
    }
  }
  ASSERT_GT(rows, 150'000);
  const Shape shape = {rows, kGroup};
  const SourceTensor tensor = source_of(type, shape, DType::Float32);
  expect_equal_values(type, stored, carry(tensor, int4_of(shape), stored));
}

// Where it does not fit, the encoder either proves the codes equal or stops.
TEST(CarryOver, Q4_1WithoutAZeroPointStops) {
  const GgmlTypeInfo& type = type_of(GgmlType::Q4_1);
  const std::vector<std::uint16_t> halves = finite_halves();
  std::mt19937 random(5);
  const Shape shape = {1, kGroup};
  const SourceTensor tensor = source_of(type, shape, DType::Float32);
  int stopped = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint16_t d = halves[random() % halves.size()];
    const std::uint16_t m = halves[random() % halves.size()];
    if (zero_point_fits(d, m)) continue;
    const auto stored = q4_1_block(d, m);
    try {
      const EncodedTensor carried = carry(tensor, int4_of(shape), stored);
      expect_equal_values(type, stored, carried);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Input);
      EXPECT_THAT(error.what(), HasSubstr("\"w\": row 0, group 0: d = "));
      ++stopped;
    }
  }
  EXPECT_GT(stopped, 0);
}

TEST(CarryOver, ThreeDimensionalWeights) {
  std::mt19937 random(6);
  for (const GgmlType number : {GgmlType::Q8_0, GgmlType::Q4_1}) {
    const GgmlTypeInfo& type = type_of(number);
    const Shape shape = {3, 7, 96};
    std::vector<std::byte> stored;
    for (int block = 0; block < 3 * 7 * 3; ++block) {
      append_half(stored, float_to_float16(0.01f * static_cast<float>(block)));
      if (number == GgmlType::Q4_1) append_half(stored, 0xb800);  // -0.5
      while (stored.size() % static_cast<std::size_t>(type.block_bytes) != 0) {
        stored.push_back(static_cast<std::byte>(random() & 0xff));
      }
    }
    const EncodingPtr encoding = number == GgmlType::Q8_0
                                     ? int8_of(shape, DType::BFloat16)
                                     : int4_of(shape);
    const SourceTensor tensor = source_of(type, shape, encoding->dtype());
    expect_equal_values(type, stored, carry(tensor, encoding, stored));
  }
}

TEST(CarryOver, OnlyWhatTheTableNames) {
  const Shape shape = {64, 64};
  constexpr DType kBf16 = DType::BFloat16;
  constexpr DType kF32 = DType::Float32;
  const auto carries = [&](GgmlType type, const EncodingPtr& encoding) {
    const SourceTensor tensor =
        source_of(type_of(type), shape, encoding->dtype());
    const bool exact = carries_exactly(tensor, *encoding);
    EXPECT_EQ(make_carry_encoder(tensor, encoding) != nullptr, exact);
    return exact;
  };
  EXPECT_TRUE(carries(GgmlType::Q8_0, int8_of(shape, kBf16)));
  EXPECT_TRUE(carries(GgmlType::Q4_0, int8_of(shape, kBf16)));
  EXPECT_TRUE(carries(GgmlType::Q4_0, intx_of(shape, kBf16)));
  EXPECT_TRUE(carries(GgmlType::Q4_1, int4_of(shape, kF32)));
  EXPECT_TRUE(carries(GgmlType::Q5_0, intx_of(shape, kBf16, DType::Int5)));
  EXPECT_TRUE(carries(GgmlType::Q8_0, intx_of(shape, kBf16, DType::Int8)));
  EXPECT_TRUE(carries(GgmlType::Q8_0,
                      intx_of(shape, kBf16, DType::Int8, DType::Float16)));

  EXPECT_FALSE(carries(GgmlType::Q5_0, intx_of(shape, kBf16, DType::Int4)));
  EXPECT_FALSE(carries(GgmlType::Q5_0, int8_of(shape, kBf16)));
  EXPECT_FALSE(carries(GgmlType::Q5_1, intx_of(shape, kBf16, DType::Int5)));
  EXPECT_FALSE(carries(GgmlType::Q4_0, intx_of(shape, kBf16, DType::Int5)));
  EXPECT_FALSE(carries(GgmlType::Q5_0,
                       intx_of(shape, kBf16, DType::Int5, DType::BFloat16)));

  EXPECT_FALSE(carries(GgmlType::Q8_0, int8_of(shape, kBf16, 64)));
  EXPECT_FALSE(carries(GgmlType::Q8_0, intx_of(shape, kBf16)));
  EXPECT_FALSE(carries(GgmlType::Q8_0, int4_of(shape, kF32)));
  EXPECT_FALSE(carries(GgmlType::Q4_0,
                       intx_of(shape, kBf16, DType::Int4, DType::BFloat16)));
  EXPECT_FALSE(carries(GgmlType::Q4_0, intx_of(shape, kBf16, DType::Int3)));
  EXPECT_FALSE(carries(GgmlType::Q4_0, int4_of(shape, kBf16)));
  EXPECT_FALSE(carries(GgmlType::Q4_1, int4_of(shape, kBf16)));
  EXPECT_FALSE(carries(GgmlType::Q4_1, intx_of(shape, kF32)));
  EXPECT_FALSE(carries(GgmlType::Q4_1, int8_of(shape, kF32)));
  EXPECT_FALSE(carries(GgmlType::F32, int8_of(shape, kF32)));
  EXPECT_FALSE(
      carries(GgmlType::Q8_0,
              make_int8_encoding(shape, kF32, {.granularity = PerRow{}})));
  EXPECT_FALSE(carries(GgmlType::Q8_0,
                       make_int8_encoding(shape,
                                          kF32,
                                          {.granularity = PerGroup{kGroup},
                                           .reduce_range = true})));
  EXPECT_FALSE(carries(
      GgmlType::Q4_1,
      make_int4_encoding(
          shape,
          kF32,
          {.group_size = kGroup, .activation_dtype = DType::Float8E4M3FN})));
}

TEST(CarryOver, NonFiniteScalesAndWrongRowsAreErrors) {
  const Shape shape = {1, kGroup};
  const GgmlTypeInfo& type = type_of(GgmlType::Q8_0);
  const SourceTensor tensor = source_of(type, shape, DType::Float32);
  const std::vector<std::uint16_t> infinity = {0x7c00};
  std::vector<std::byte> stored = every_code(GgmlType::Q8_0, infinity);
  stored.resize(34);
  try {
    carry(tensor, int8_of(shape, DType::Float32), stored);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    EXPECT_THAT(error.what(), HasSubstr("\"w\": row 0, group 0: the scale"));
  }
  stored.resize(33);
  EXPECT_THROW(carry(tensor, int8_of(shape, DType::Float32), stored), Error);
}

}  // namespace
}  // namespace mantissa
