#include <mantissa/formats/nf4_tensor.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/registry.h>
#include <mantissa/primitives/nf4.h>

#include "formats/dense_slice.h"
#include "support/encode_blocks.h"
#include "support/int4_samples.h"

namespace mantissa {
namespace {

using support::awkward_weight;
using support::encode_in_blocks;
using support::same_fields;
using ::testing::HasSubstr;

constexpr DType kDTypes[] = {DType::Float32, DType::BFloat16, DType::Float16};
constexpr NF4Spec kSmall = {16, 8};

EncodedTensor encoded(const HostTensor& w, const NF4Spec& spec) {
  return encode(make_nf4_encoding(w.shape(), w.dtype(), spec), w.view());
}

template <class Act>
std::string message(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(NF4TensorTest, TableEntriesAndTies) {
  for (const DType dtype : kDTypes) {
    const auto table = nf4_table(dtype);
    for (std::uint8_t code = 0; code < 16; ++code) {
      EXPECT_EQ(nf4_code(table[code], table, dtype), code);
    }
    EXPECT_EQ(nf4_code(-2.0f, table, dtype), 0);
    EXPECT_EQ(nf4_code(2.0f, table, dtype), 15);
    EXPECT_EQ(nf4_code(-0.0f, table, dtype), kNF4Zero);
  }
  // The middle of two entries goes to the first.
  const auto table = nf4_table(DType::Float32);
  const float middle = (table[8] + table[7]) / 2;
  EXPECT_EQ(nf4_code(middle, table, DType::Float32), 7);
  EXPECT_EQ(nf4_code(std::nextafter(middle, 1.0f), table, DType::Float32), 8);
}

TEST(NF4TensorTest, BlocksOfAnySizeGiveTheSameBytes) {
  for (const DType dtype : kDTypes) {
    for (const Shape& shape : {Shape{16, 64}, Shape{32, 24}, Shape{1024}}) {
      const HostTensor w = awkward_weight(dtype, shape);
      const EncodedTensor t = encoded(w, kSmall);
      const std::int64_t unit = t.encoding->make_encoder()->row_multiple();
      for (const std::int64_t units : {1, 3, 8, 64}) {
        EXPECT_TRUE(same_fields(
            encode_in_blocks(t.encoding, w.view(), units * unit), t))
            << to_string(shape) << " in blocks of " << units * unit << " rows";
      }
    }
  }
}

TEST(NF4TensorTest, ZeroBlocksDecodeToZero) {
  HostTensor w = awkward_weight(DType::BFloat16, {16, 64});
  std::memset(w.data(), 0, 2 * 16);
  const EncodedTensor t = encoded(w, kSmall);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(t.fields[0].as<std::uint8_t>()[i], 0x77);
  }
  const HostTensor back = t.decode();
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(back.as<std::uint16_t>()[i] & 0x7fff, 0);
  }
}

TEST(NF4TensorTest, EqualScalersHaveAnInfiniteFactorAndAreExact) {
  HostTensor w(DType::Float32, {8, 16});
  for (int i = 0; i < 128; ++i) w.as<float>()[i] = i % 2 == 0 ? 0.5f : -0.5f;
  const EncodedTensor t = encoded(w, kSmall);
  EXPECT_TRUE(std::isinf(t.fields[2].as<float>()[0]));
  EXPECT_EQ(t.encoding->check_values(t.views()), "");
  const HostTensor back = t.decode();
  EXPECT_EQ(std::memcmp(back.data(), w.data(), 512), 0);
}

TEST(NF4TensorTest, ParsesWhatItWritesAndRefusesTheRest) {
  const HostTensor w = awkward_weight(DType::Float16, {16, 64});
  const EncodedTensor t = encoded(w, kSmall);
  EXPECT_EQ(t.encoding->attributes_json(),
            R"({"block_size": 16, "scaler_block_size": 8, "shape": [16, 64], )"
            R"("dtype": {"_type": "torch.dtype", "_data": "float16"}})");
  const Format* format = find_format("NF4Tensor");
  const auto fields = t.encoding->fields();
  const auto again = format->parse(t.encoding->attributes_json(), fields);
  EXPECT_EQ(again->attributes_json(), t.encoding->attributes_json());
  EXPECT_EQ(again->shape(), w.shape());
  auto wrong = fields;
  wrong[1].shape = {63};
  EXPECT_THAT(
      message(ErrorKind::Input,
              [&] { format->parse(t.encoding->attributes_json(), wrong); }),
      HasSubstr("quantized_scalers"));
  EXPECT_THAT(
      message(
          ErrorKind::Input,
          [&] {
            format->parse(
                R"({"block_size": 16, "scaler_block_size": 7, "shape": [16, 64], "dtype": {"_type": "torch.dtype", "_data": "float16"}})",
                fields);
          }),
      HasSubstr("scaler_block_size: expected a divisor of 64 blocks, got 7"));
  const auto make = [](Shape shape, DType dtype, NF4Spec spec) {
    return message(ErrorKind::Usage,
                   [&] { make_nf4_encoding(shape, dtype, spec); });
  };
  EXPECT_THAT(make({2, 8, 64}, DType::Float32, kSmall), HasSubstr("shape"));
  EXPECT_THAT(make({0, 64}, DType::Float32, kSmall), HasSubstr("elements"));
  EXPECT_THAT(make({16, 64}, DType::Float64, kSmall), HasSubstr("float64"));
  EXPECT_THAT(make({3, 5}, DType::Float32, {64, 256}), HasSubstr("block_size"));
}

TEST(NF4TensorTest, SlicesOfScalerBlocks) {
  const HostTensor w = awkward_weight(DType::BFloat16, {16, 64});
  const EncodedTensor t = encoded(w, kSmall);
  const EncodedTensor part = t.encoding->slice(t.views(), 0, 4, 10);
  const HostTensor found = part.decode();
  const HostTensor whole = t.decode();
  const HostTensor expected = slice_dense(whole.view(), 0, 4, 10);
  ASSERT_EQ(found.shape(), expected.shape());
  EXPECT_EQ(std::memcmp(found.data(),
                        expected.data(),
                        static_cast<std::size_t>(expected.nbytes())),
            0);
  EXPECT_TRUE(same_fields(t.encoding->slice(t.views(), 1, 0, 64), t));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->slice(t.views(), 0, 1, 4); }),
      HasSubstr("use multiples of 2 rows"));
  EXPECT_THAT(message(ErrorKind::Usage,
                      [&] { t.encoding->slice(t.views(), 1, 0, 32); }),
              HasSubstr("cuts a scaler block"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->select(t.views(), 0); }),
      HasSubstr("3-D"));
}

TEST(NF4TensorTest, RefusesNanAndInfinityInTheWeight) {
  HostTensor w = awkward_weight(DType::BFloat16, {16, 64});
  w.as<std::uint16_t>()[67] = 0x7f80;
  w.as<std::uint16_t>()[900] = 0x7fc0;
  EXPECT_THAT(message(ErrorKind::Input, [&] { encoded(w, kSmall); }),
              HasSubstr("weight[1, 3] is NaN or infinite"));
}

TEST(NF4TensorTest, FindsBadValues) {
  const HostTensor w = awkward_weight(DType::Float32, {16, 64});
  EncodedTensor t = encoded(w, kSmall);
  EXPECT_EQ(t.encoding->check_values(t.views()), "");
  t.fields[3].as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(t.encoding->check_values(t.views()), HasSubstr("scaler_mean"));
  t.fields[2].as<float>()[3] = 0.0f;
  EXPECT_THAT(t.encoding->check_values(t.views()),
              HasSubstr("quantization_factor[3]"));
}

// The numbers of docs/formats/nf4_tensor.md: blocks of 4, two to a factor.
TEST(NF4TensorTest, WorkedExample) {
  HostTensor w(DType::Float32, {2, 4});
  const float values[] = {0.5f, -1.0f, 0.0f, 0.25f, 2.0f, 1.0f, -0.5f, 3.0f};
  std::memcpy(w.data(), values, sizeof(values));
  const EncodedTensor t = encoded(w, {4, 2});
  const std::uint8_t codes[] = {0xc0, 0x7a, 0xeb, 0x5f};
  EXPECT_EQ(std::memcmp(t.fields[0].data(), codes, 4), 0);
  EXPECT_EQ(t.fields[3].as<float>()[0], 2.0f);    // mean of 1 and 3
  EXPECT_EQ(t.fields[2].as<float>()[0], 128.0f);  // 256 / (2 * 1)
  EXPECT_EQ(t.fields[1].as<std::int8_t>()[0], -128);
  EXPECT_EQ(t.fields[1].as<std::int8_t>()[1], 127);
  const HostTensor back = t.decode();
  EXPECT_EQ(back.as<float>()[1], -1.0f);
  EXPECT_EQ(back.as<float>()[7], 2.9921875f);  // 127 / 128 + 2
}

}  // namespace
}  // namespace mantissa
