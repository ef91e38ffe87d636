// The worked examples of docs/formats: the bytes on the page are those of the
// encoder.

#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/formats/packed_linear.h>
#include <mantissa/primitives/float_casts.h>

namespace mantissa {
namespace {

// Field -> hex bytes, from the block below "On disk:" of a page.
std::map<std::string, std::string> page_bytes(const std::string& page) {
  std::ifstream file(std::string(MANTISSA_SOURCE_DIR "/docs/formats/") + page);
  std::map<std::string, std::string> fields;
  std::string line;
  while (std::getline(file, line) && line != "On disk:") {
  }
  int fences = 0;
  while (fences < 2 && std::getline(file, line)) {
    if (line == "```") {
      ++fences;
      continue;
    }
    std::istringstream words(line);
    std::string field;
    std::string byte;
    words >> field;
    while (words >> byte) fields[field] += byte;
  }
  return fields;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  char digits[3];
  for (const std::byte byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte));
    text += digits;
  }
  return text;
}

HostTensor example_weight() {
  constexpr float kWeight[] = {0.5f,
                               -1.0f,
                               0.25f,
                               0.75f,
                               -0.125f,
                               0.0f,
                               1.5f,
                               -2.0f,
                               3.0f,
                               -0.5f,
                               1.0f,
                               0.0f,
                               0.1f,
                               -0.2f,
                               0.3f,
                               -0.4f};
  HostTensor weight(DType::BFloat16, {2, 8});
  for (int i = 0; i < 16; ++i) {
    weight.as<std::uint16_t>()[i] = float_to_bfloat16(kWeight[i]);
  }
  return weight;
}

void expect_page(const std::string& page,
                 const std::shared_ptr<const Encoding>& encoding) {
  const auto expected = page_bytes(page);
  const EncodedTensor encoded = encode(encoding, example_weight().view());
  const auto fields = encoding->fields();
  ASSERT_EQ(expected.size(), fields.size()) << page;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    ASSERT_TRUE(expected.contains(fields[i].name)) << fields[i].name;
    EXPECT_EQ(hex(encoded.fields[i].view().bytes()),
              expected.at(fields[i].name))
        << page << ": " << fields[i].name;
  }
}

TEST(DocsExample, Int4Tensor) {
  expect_page(
      "int4_tensor.md",
      make_int4_encoding({2, 8}, DType::BFloat16, Int4Spec{.group_size = 4}));
}

TEST(DocsExample, Int4TilePackedTo4dTensor) {
  HostTensor weight(DType::BFloat16, {8, 1024});
  for (int i = 0; i < 8 * 1024; ++i) {
    weight.as<std::uint16_t>()[i] =
        float_to_bfloat16(static_cast<float>(i % 16 - 8));
  }
  const auto encoding = make_int4_tile_packed_encoding(
      weight.shape(), weight.dtype(), Int4TilePackedSpec{.group_size = 32});
  const EncodedTensor encoded = encode(encoding, weight.view());
  const auto expected = page_bytes("int4_tile_packed_to_4d_tensor.md");
  // qdata [1, 8, 32, 4] of 4 bytes; scale_and_zero [32, 8, 2] of 2 bytes.
  EXPECT_EQ(hex(encoded.fields[0].view().bytes().subspan(12 * 4 * 4, 4)),
            expected.at("qdata[0][0][12][0]"));
  EXPECT_EQ(hex(encoded.fields[1].view().bytes().subspan(3 * 2 * 2, 4)),
            expected.at("scale_and_zero[0][3]"));
}

TEST(DocsExample, Int8Tensor) {
  expect_page("int8_tensor.md",
              make_int8_encoding({2, 8}, DType::BFloat16, {}));
}

TEST(DocsExample, IntxUnpackedToInt8Tensor) {
  const IntxSpec spec{.target_dtype = DType::Int4, .granularity = PerGroup{4}};
  expect_page("intx_unpacked_to_int8_tensor.md",
              make_intx_encoding({2, 8}, DType::BFloat16, spec));
}

TEST(DocsExample, PackedWeights) {
  constexpr std::int8_t kCodes[2][16] = {
      {3, -8, -3, 2, 7, -4, 1, 6, -4, 1, 6, -5, 0, 5, -6, -1},
      {5, -6, -1, 4, -7, -2, 3, -8, -2, 3, -8, -3, 2, 7, -4, 1}};
  constexpr float kScale[] = {0.5f, 0.75f};
  const PackedLinear weight{2, 16, 16, 4};
  std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(weight)));
  pack_linear(
      weight,
      {{DType::Int8, {2, 16}, std::as_bytes(std::span(kCodes)).data()},
       {DType::Float32, {2, 1}, std::as_bytes(std::span(kScale)).data()}},
      packed);
  const auto expected = page_bytes("packed_weights.md");
  const std::span<const std::byte> bytes = packed;
  ASSERT_EQ(packed.size(), 192U);
  EXPECT_EQ(hex(bytes.first(64)), expected.at("header"));
  EXPECT_EQ(hex(bytes.subspan(64, 64)), expected.at("codes"));
  EXPECT_EQ(hex(bytes.subspan(128, 32)), expected.at("scale"));
  EXPECT_EQ(hex(bytes.subspan(160, 32)), expected.at("sum"));
}

}  // namespace
}  // namespace mantissa
