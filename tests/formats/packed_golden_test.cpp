// Packed weights against the bytes of torchao's own code: each line of
// golden/torchao_packing/neon.txt is one object, its sizes and CRC-32.
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/formats/packed_embedding.h>
#include <mantissa/formats/packed_groupwise_lut.h>
#include <mantissa/formats/packed_linear.h>

#include "kernels/pack_bits.h"
#include "kernels/pack_cases.h"

namespace mantissa {
namespace {

struct Line {
  std::string kind;
  std::map<std::string, std::string> words;

  std::int64_t number(const std::string& key) const {
    return std::stoll(words.at(key));
  }
  std::uint32_t crc(const std::string& key) const {
    return static_cast<std::uint32_t>(std::stoul(words.at(key), nullptr, 16));
  }
};

std::vector<Line> lines_of(const std::string& kind) {
  std::ifstream file(MANTISSA_SOURCE_DIR
                     "/tests/golden/torchao_packing/neon.txt");
  std::vector<Line> out;
  std::string text;
  while (std::getline(file, text)) {
    std::istringstream words(text);
    Line line;
    words >> line.kind;
    if (line.kind != kind) continue;
    std::string word;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      line.words[word.substr(0, equals)] = word.substr(equals + 1);
    }
    out.push_back(line);
  }
  return out;
}

std::uint32_t crc_of(std::span<const std::byte> bytes) {
  return kernels::crc32(
      {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

std::string hex_of(std::span<const std::byte> bytes) {
  return kernels::hex(
      {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

// The ramp of the fixture: (37 i + 11 + (i >> 3)) mod 2^bits, plus `low`.
HostTensor ramp(DType dtype, const Shape& shape, int bits, int low) {
  HostTensor out(dtype, shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const auto v = static_cast<int>(37 * i + 11 + (i >> 3));
    out.as<std::int8_t>()[i] =
        static_cast<std::int8_t>((v & ((1 << bits) - 1)) + low);
  }
  return out;
}

template <class F>
HostTensor floats(const Shape& shape, const F& value) {
  HostTensor out(DType::Float32, shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.as<float>()[i] = value(static_cast<float>(i));
  }
  return out;
}

HostTensor scales(const Shape& shape) {
  return floats(shape, [](float i) { return 0.5F + 0.25F * i; });
}

HostTensor biases(std::int64_t n) {
  return floats({n}, [](float i) { return i - 3.5F; });
}

bool same(const HostTensor& a, const HostTensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(
             a.data(), b.data(), static_cast<std::size_t>(a.nbytes())) == 0;
}

TEST(PackedGolden, Blocks) {
  const auto lines = lines_of("A2");
  ASSERT_EQ(lines.size(), 24U);
  for (const Line& line : lines) {
    const int bits = static_cast<int>(line.number("b"));
    const int block = static_cast<int>(line.number("n"));
    const auto codes = kernels::ramp_codes(bits, block, true);
    std::vector<std::uint8_t> packed(
        static_cast<std::size_t>(block * bits / 8));
    for (const auto& kernel :
         kernels::usable(kernels::pack_bits_kernels(),
                         kernels::PackBitsProblem{bits, block})) {
      ASSERT_TRUE(kernel.run({bits, block}, {codes.data(), 1, packed.data()}));
      EXPECT_EQ(kernels::crc32(packed), line.crc("crc")) << kernel.name;
      EXPECT_EQ(kernels::hex(packed), line.words.at("hex")) << kernel.name;
    }
  }
}

TEST(PackedGolden, Linear) {
  const auto lines = lines_of("A3");
  ASSERT_EQ(lines.size(), 48U);
  for (const Line& line : lines) {
    const std::int64_t n = line.number("n");
    const std::int64_t k = line.number("k");
    const std::int64_t group = line.number("g");
    PackedLinear w{n, k, group, static_cast<int>(line.number("b"))};
    w.has_zero_point = line.number("zeros") == 1;
    w.has_bias = line.number("bias") == 1;
    const HostTensor codes =
        ramp(DType::Int8, {n, k}, w.bits, -(1 << (w.bits - 1)));
    const HostTensor scale = scales({n, k / group});
    HostTensor zeros(DType::Int8, {n, k / group});
    for (std::int64_t i = 0; i < zeros.numel(); ++i) {
      zeros.as<std::int8_t>()[i] = static_cast<std::int8_t>(i % 3 - 1);
    }
    const HostTensor bias = biases(n);
    PackedLinearInput input{codes.view(), scale.view()};
    if (w.has_zero_point) input.zero_point = zeros.view();
    if (w.has_bias) input.bias = bias.view();
    const std::string what = line.words.at("b") + " bits, n " +
                             std::to_string(n) + (w.has_bias ? ", bias" : "") +
                             (w.has_zero_point ? ", zeros" : "");
    ASSERT_EQ(packed_bytes(w), 64 + line.number("size")) << what;
    std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
    pack_linear(w, input, packed);
    const auto body = std::span<const std::byte>(packed).subspan(64);
    EXPECT_EQ(crc_of(body), line.crc("bodycrc")) << what;
    EXPECT_EQ(crc_of(packed), line.crc("fullcrc")) << what;
    if (line.words.contains("hex")) {
      EXPECT_EQ(hex_of(body), line.words.at("hex")) << what;
    }
  }
}

TEST(PackedGolden, EmbeddingRows) {
  const auto lines = lines_of("A4");
  ASSERT_EQ(lines.size(), 64U);
  for (const Line& line : lines) {
    const std::int64_t dim = line.number("dim");
    const int bits = static_cast<int>(line.number("b"));
    const auto row = kernels::ramp_codes(bits, dim, true);
    // Three rows of the same codes: each packs as one does.
    HostTensor codes(DType::Int8, {3, dim});
    for (int i = 0; i < 3; ++i) {
      std::memcpy(codes.data() + i * dim, row.data(), row.size());
    }
    const PackedEmbedding e{3, dim, bits};
    std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(e)));
    pack_embedding(e, codes.view(), packed);
    const auto bytes = static_cast<std::size_t>(line.number("size"));
    ASSERT_EQ(packed.size(), 64 + 3 * bytes);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(crc_of(std::span(packed).subspan(64 + i * bytes, bytes)),
                line.crc("crc"))
          << bits << " bits, dim " << dim << ", row " << i;
    }
  }
}

TEST(PackedGolden, LinearWithTables) {
  const auto lines = lines_of("A6t4");
  ASSERT_EQ(lines.size(), 16U);
  for (const Line& line : lines) {
    const std::int64_t n = line.number("n");
    const std::int64_t k = line.number("k");
    PackedLinear w{n, k, line.number("g"), static_cast<int>(line.number("b"))};
    w.has_bias = line.number("bias") == 1;
    w.luts = line.number("nluts");
    const HostTensor codes = ramp(DType::Int8, {n, k}, w.bits, 0);
    HostTensor lut(DType::Int8, {w.luts, std::int64_t{1} << w.bits});
    for (std::int64_t i = 0; i < lut.numel(); ++i) {
      lut.as<std::int8_t>()[i] = static_cast<std::int8_t>(5 * i - 17);
    }
    const HostTensor scale = scales({n, k / w.group_size});
    const HostTensor bias = biases(n);
    PackedLinearInput input{codes.view(), scale.view()};
    input.lut = lut.view();
    if (w.has_bias) input.bias = bias.view();
    std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
    pack_linear(w, input, packed);
    const auto body = std::span<const std::byte>(packed).subspan(64);
    const std::string what =
        std::to_string(w.bits) + " bits, tables " + std::to_string(w.luts);
    EXPECT_EQ(static_cast<std::int64_t>(body.size()), line.number("size"));
    EXPECT_EQ(crc_of(body), line.crc("crc")) << what;
    EXPECT_EQ(hex_of(body.first(32)), line.words.at("first32")) << what;
  }
}

TEST(PackedGolden, GroupwiseTables) {
  const auto lines = lines_of("A6t5");
  ASSERT_EQ(lines.size(), 16U);
  for (const Line& line : lines) {
    const std::int64_t n = line.number("n");
    const std::int64_t k = line.number("k");
    PackedGroupwiseLut w{n,
                         k,
                         line.number("sg"),
                         line.number("lg"),
                         static_cast<int>(line.number("b"))};
    w.has_scale = line.number("scales") == 1;
    w.has_bias = line.number("bias") == 1;
    const HostTensor indices = ramp(DType::UInt8, {n, k}, w.bits, 0);
    const HostTensor lut = floats({lut_count(w), std::int64_t{1} << w.bits},
                                  [](float i) { return 0.125F * i - 1.0F; });
    const HostTensor scale = scales({n, k / w.scale_group_size});
    const HostTensor bias = biases(n);
    PackedGroupwiseLutInput input{indices.view(), lut.view()};
    if (w.has_scale) input.scale = scale.view();
    if (w.has_bias) input.bias = bias.view();
    std::vector<std::byte> packed(static_cast<std::size_t>(packed_bytes(w)));
    pack_groupwise_lut(w, input, packed);
    const auto body = std::span<const std::byte>(packed).subspan(64);
    EXPECT_EQ(static_cast<std::int64_t>(body.size()), line.number("size"));
    EXPECT_EQ(crc_of(body), line.crc("crc"))
        << w.bits << " bits, scales " << w.has_scale << ", bias " << w.has_bias;

    HostTensor indices_back(DType::UInt8, {n, k});
    HostTensor lut_back(DType::Float32, lut.shape());
    HostTensor scale_back(DType::Float32, scale.shape());
    HostTensor bias_back(DType::Float32, bias.shape());
    PackedGroupwiseLutOutput output{indices_back.mutable_view(),
                                    lut_back.mutable_view()};
    if (w.has_scale) output.scale = scale_back.mutable_view();
    if (w.has_bias) output.bias = bias_back.mutable_view();
    unpack_groupwise_lut(
        read_packed_groupwise_lut(packed, n, k), packed, output);
    EXPECT_TRUE(same(indices, indices_back));
    EXPECT_TRUE(same(lut, lut_back));
    EXPECT_TRUE(!w.has_scale || same(scale, scale_back));
    EXPECT_TRUE(!w.has_bias || same(bias, bias_back));
  }
}

}  // namespace
}  // namespace mantissa
