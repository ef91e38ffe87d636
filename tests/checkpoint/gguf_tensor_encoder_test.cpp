#include "checkpoint/gguf_tensor_encoder.h"

#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "checkpoint/carry_over.h"
#include "checkpoint/ggml_blocks.h"
#include "formats/gguf_tensor.h"
#include "formats/lowbit_grid.h"
#include "formats/lowbit_weight.h"
#include "kernels/embedding_lowbit.h"
#include "support/encode_blocks.h"

namespace mantissa {
namespace {

using testing::HasSubstr;

const char* const kTypes[] = {
    "Q4_1", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};

const GgmlTypeInfo& info_of(std::string_view name) {
  for (const GgmlTypeInfo& type : ggml_types()) {
    if (type.name == name) return type;
  }
  throw std::logic_error("no type");
}

// Where the half floats of a block stand.
std::vector<std::size_t> halves_of(std::string_view type) {
  if (type == "Q2_K") return {80, 82};
  if (type == "Q3_K") return {108};
  if (type == "Q6_K") return {208};
  return {0, 2};
}

// Any bits, but finite half floats.
std::vector<std::byte> blocks_of(const GgmlTypeInfo& type, std::int64_t count) {
  std::mt19937 random(static_cast<unsigned>(type.block_bytes + count));
  std::vector<std::byte> out(
      static_cast<std::size_t>(count * type.block_bytes));
  for (std::byte& byte : out) byte = static_cast<std::byte>(random() & 0xff);
  for (std::int64_t b = 0; b < count; ++b) {
    for (const std::size_t half : halves_of(type.name)) {
      std::byte& high =
          out[static_cast<std::size_t>(b * type.block_bytes) + half + 1];
      if ((high & std::byte{0x7c}) == std::byte{0x7c}) high ^= std::byte{0x40};
    }
  }
  return out;
}

struct Stored {
  const GgmlTypeInfo* type;
  Shape shape;
  std::vector<std::byte> bytes;
};

Stored stored_of(std::string_view name, Shape shape) {
  const GgmlTypeInfo& type = info_of(name);
  return {&type, shape, blocks_of(type, numel(shape) / type.block_size)};
}

// Encodes rows two at a time, the last first.
EncodedTensor encoded(const Stored& stored) {
  const auto encoding =
      make_gguf_encoding(stored.shape, *find_gguf_grid(stored.type->name));
  const SourceTensor source = {
      "w", DType::BFloat16, stored.shape, std::string(stored.type->name), 0};
  EXPECT_TRUE(carries_exactly(source, *encoding));
  const auto encoder = make_carry_encoder(source, encoding);
  support::CountingSink sink(encoding->fields());
  const std::int64_t row_bytes =
      static_cast<std::int64_t>(stored.bytes.size()) / stored.shape[0];
  for (std::int64_t row = (stored.shape[0] - 1) / 2 * 2; row >= 0; row -= 2) {
    const std::int64_t rows = std::min<std::int64_t>(2, stored.shape[0] - row);
    encoder->encode({0, row, rows},
                    {DType::UInt8,
                     {rows, row_bytes},
                     stored.bytes.data() + row * row_bytes},
                    sink);
  }
  EXPECT_TRUE(sink.complete());
  return {encoding, sink.tensors};
}

HostTensor decoded_by_ggml(const Stored& stored) {
  HostTensor out(DType::Float32, stored.shape);
  stored.type->decode(stored.bytes.data(),
                      out.numel() / stored.type->block_size,
                      out.as<float>());
  return out;
}

bool same_bytes(const HostTensor& a, const HostTensor& b) {
  return std::ranges::equal(a.view().bytes(), b.view().bytes());
}

TEST(GgufTensorEncoderTest, ValuesAreThoseOfGgmlBitForBit) {
  for (const char* type : kTypes) {
    const Stored stored = stored_of(type, {37, 768});
    const EncodedTensor tensor = encoded(stored);
    EXPECT_EQ(tensor.encoding->check_values(tensor.views()), "");
    EXPECT_TRUE(same_bytes(tensor.decode(), decoded_by_ggml(stored))) << type;
  }
}

TEST(GgufTensorEncoderTest, PackedWeightsGiveTheFieldsBack) {
  const LowbitWeight::Parallel alone = [](std::int64_t count, const auto& run) {
    run(0, count);
  };
  for (const char* type : kTypes) {
    const Stored stored = stored_of(type, {37, 512});
    const EncodedTensor tensor = encoded(stored);
    ASSERT_EQ(LowbitWeight::refusal(*tensor.encoding), "") << type;
    const LowbitWeight weight(tensor.encoding, tensor.views(), alone);
    const std::vector<HostTensor> fields = weight.fields();
    ASSERT_EQ(fields.size(), tensor.fields.size()) << type;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      EXPECT_TRUE(same_bytes(fields[i], tensor.fields[i])) << type << " " << i;
    }
    EXPECT_LE(weight.bytes(), LowbitWeight::most_bytes(*tensor.encoding));
  }
}

// What a token takes of an embedding.
TEST(GgufTensorEncoderTest, RowsOfPackedWeightsAreThoseOfGgml) {
  const LowbitWeight::Parallel alone = [](std::int64_t count, const auto& run) {
    run(0, count);
  };
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < 37; ++i) rows.push_back((i * 11) % 37);
  for (const char* type : kTypes) {
    const Stored stored = stored_of(type, {37, 768});
    const EncodedTensor tensor = encoded(stored);
    const HostTensor values = decoded_by_ggml(stored);
    const LowbitWeight weight(tensor.encoding, tensor.views(), alone);
    for (const auto& kernel : kernels::embedding_lowbit_kernels()) {
      if (kernel.refuses({}, kernels::host_caps()) != nullptr) continue;
      std::vector<float> out(rows.size() * 768);
      kernels::EmbeddingLowbitArgs args;
      args.w = weight.view();
      args.columns = 768;
      args.indices = rows.data();
      args.out = out.data();
      kernel.run(args, 0, std::ssize(rows));
      for (std::size_t i = 0; i < out.size(); ++i) {
        const auto at =
            rows[i / 768] * 768 + static_cast<std::int64_t>(i % 768);
        ASSERT_EQ(out[i], values.as<float>()[at])
            << kernel.name << " " << type << " " << i;
      }
    }
  }
}

// Bits a weight: those of the file, factors of less than a byte rounded up.
TEST(GgufTensorEncoderTest, PackedWeightsAreHardlyWiderThanTheFile) {
  const LowbitWeight::Parallel alone = [](std::int64_t count, const auto& run) {
    run(0, count);
  };
  const std::vector<std::pair<const char*, std::int64_t>> bytes = {
      {"Q4_1", 160},
      {"Q5_1", 192},
      {"Q2_K", 64 + 32 + 4},
      {"Q3_K", 96 + 16 + 2},
      {"Q4_K", 128 + 16 + 4},
      {"Q5_K", 160 + 16 + 4},
      {"Q6_K", 210}};
  for (const auto& [type, of_256] : bytes) {
    const EncodedTensor tensor = encoded(stored_of(type, {32, 512}));
    const LowbitWeight weight(tensor.encoding, tensor.views(), alone);
    EXPECT_EQ(weight.bytes(), 32 * 2 * of_256) << type;
  }
}

TEST(GgufTensorEncoderTest, RowsAndSlicesAreTensorsOfTheirOwn) {
  for (const char* type : kTypes) {
    const Stored stored = stored_of(type, {9, 512});
    const EncodedTensor tensor = encoded(stored);
    const HostTensor values = decoded_by_ggml(stored);
    const auto views = tensor.views();
    const HostTensor rows = tensor.encoding->slice(views, 0, 2, 5).decode();
    const HostTensor columns =
        tensor.encoding->slice(views, 1, 256, 512).decode();
    for (std::int64_t k = 0; k < 512; ++k) {
      ASSERT_EQ(rows.as<float>()[512 + k], values.as<float>()[3 * 512 + k]);
    }
    for (std::int64_t k = 0; k < 256; ++k) {
      ASSERT_EQ(columns.as<float>()[256 + k],
                values.as<float>()[512 + 256 + k]);
    }
    const EncodedRows part = tensor.encoding->rows({0, 3, 2});
    ASSERT_EQ(part.fields.size(), views.size());
    for (std::size_t f = 0; f < views.size(); ++f) {
      const auto bytes = static_cast<std::int64_t>(views[f].bytes().size()) / 9;
      EXPECT_EQ(part.fields[f].offset, 3 * bytes) << type << " " << f;
      EXPECT_EQ(part.fields[f].bytes, 2 * bytes) << type << " " << f;
    }
  }
}

TEST(GgufTensorEncoderTest, WhatIsWrongIsNamed) {
  // d and dmin stand first in a block.
  for (const std::size_t at : {0, 2}) {
    Stored stored = stored_of("Q4_K", {4, 512});
    stored.bytes[5 * 144 + at] = std::byte{0};
    stored.bytes[5 * 144 + at + 1] = std::byte{0x7c};
    try {
      encoded(stored);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Input);
      EXPECT_THAT(
          error.what(),
          HasSubstr(std::string("\"w\": row 2, block 1: the ") +
                    (at == 0 ? "scale" : "minimum") + " is not finite"));
    }
  }
  const GgufGrid& grid = *find_gguf_grid("Q4_K");
  EXPECT_EQ(find_gguf_grid("Q4_0"), nullptr);
  EXPECT_THROW(make_gguf_encoding({4, 320}, grid), Error);
  EXPECT_THROW(make_gguf_encoding({4, 2, 256}, grid), Error);
  const auto encoding = make_gguf_encoding({4, 512}, grid);
  EXPECT_THROW(encoding->make_encoder(), Error);
  const EncodedTensor tensor = encoded(stored_of("Q4_K", {4, 512}));
  try {
    encoding->slice(tensor.views(), 1, 0, 32);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cuts a block of 256"));
  }
  EXPECT_FALSE(
      carries_exactly({"w", DType::Float32, {4, 512}, "Q5_K", 0}, *encoding));
}

}  // namespace
}  // namespace mantissa
