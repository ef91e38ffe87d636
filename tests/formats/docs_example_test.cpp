// The worked examples of docs/formats: the bytes on the page are those of the
// encoder.

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
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

std::string hex(const HostTensor& tensor) {
  std::string text;
  char digits[3];
  for (const std::byte byte : tensor.view().bytes()) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte));
    text += digits;
  }
  return text;
}

HostTensor example_weight() {
  constexpr float kWeight[] = {0.5f, -1.0f, 0.25f, 0.75f, -0.125f, 0.0f,
                               1.5f, -2.0f, 3.0f,  -0.5f, 1.0f,    0.0f,
                               0.1f, -0.2f, 0.3f,  -0.4f};
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
    EXPECT_EQ(hex(encoded.fields[i]), expected.at(fields[i].name))
        << page << ": " << fields[i].name;
  }
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

}  // namespace
}  // namespace mantissa
