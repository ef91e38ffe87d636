#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "checkpoint/gguf_rope.h"

namespace mantissa {
namespace {

using Type = RopeParameters::Type;

GgufMetadata keys(std::vector<GgufMetadata::Pair> pairs) {
  GgufMetadata metadata;
  for (auto& pair : pairs) metadata.add(pair.key, pair.value);
  return metadata;
}

RopeParameters read(const GgufMetadata& metadata) {
  return read_rope(GgufKeys(metadata, "llama"));
}

// The formula of Llama 3's scaling, as models of that family apply it.
std::vector<float> llama3_factors(int head_dim, double theta, double factor) {
  std::vector<float> factors;
  for (int i = 0; i < head_dim / 2; ++i) {
    const double wave =
        2 * std::numbers::pi * std::pow(theta, 2.0 * i / head_dim);
    const double smooth = (8192 / wave - 1) / (4 - 1);
    const double value = wave < 8192.0 / 4 ? 1.0
                         : wave > 8192.0   ? factor
                                         : 1 / ((1 - smooth) / factor + smooth);
    factors.push_back(static_cast<float>(value));
  }
  return factors;
}

TEST(GgufRope, WithoutScaling) {
  const RopeParameters plain = read(keys({}));
  EXPECT_EQ(plain.type, Type::Default);
  EXPECT_EQ(plain.theta, 10000.0);
  const RopeParameters none =
      read(keys({{"llama.rope.scaling.type", std::string("none")},
                 {"llama.rope.scaling.factor", 8.0},
                 {"llama.rope.freq_base", 5e5}}));
  EXPECT_EQ(none.type, Type::Default);
  EXPECT_EQ(none.theta, 5e5);
  // Zero stands for "no scaling".
  EXPECT_EQ(read(keys({{"llama.rope.scaling.factor", 0.0}})).type,
            Type::Default);
}

TEST(GgufRope, LinearInBothSpellings) {
  for (const char* key :
       {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    const RopeParameters rope = read(keys({{key, 4.0}}));
    EXPECT_EQ(rope.type, Type::Linear);
    EXPECT_EQ(rope.factor, 4.0);
  }
}

TEST(GgufRope, Yarn) {
  const RopeParameters rope = read(keys(
      {{"llama.rope.scaling.type", std::string("yarn")},
       {"llama.rope.scaling.factor", 4.0},
       {"llama.rope.scaling.finetuned", true},
       {"llama.rope.scaling.original_context_length", std::uint64_t{4096}}}));
  EXPECT_EQ(rope.type, Type::Yarn);
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_EQ(rope.original_positions, 4096);
}

TEST(GgufRope, BadBase) {
  EXPECT_THROW(read(keys({{"llama.rope.freq_base", -1.0}})), Error);
  EXPECT_THROW(read(keys({{"llama.rope.freq_base", NAN}})), Error);
}

TEST(GgufRope, FactorsOfLlama3AreRecognized) {
  for (const auto& [head_dim, factor] :
       std::vector<std::pair<int, double>>{{128, 8.0}, {64, 32.0}}) {
    RopeParameters rope;
    rope.theta = 500000.0;
    apply_rope_factors(
        llama3_factors(head_dim, rope.theta, factor), head_dim, rope);
    EXPECT_EQ(rope.type, Type::Llama3);
    EXPECT_EQ(rope.factor, factor);
    EXPECT_EQ(rope.original_positions, 8192);
  }
}

TEST(GgufRope, FactorsOfOneChangeNothing) {
  RopeParameters rope;
  apply_rope_factors(std::vector<float>(8, 1.0f), 16, rope);
  EXPECT_EQ(rope.type, Type::Default);
}

TEST(GgufRope, OtherFactorsAreRefused) {
  auto factors = llama3_factors(128, 5e5, 8.0);
  const auto refuse = [&](RopeParameters rope) {
    rope.theta = 5e5;
    try {
      apply_rope_factors(factors, 128, rope);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
    }
  };
  RopeParameters linear;
  linear.type = Type::Linear;
  refuse(linear);  // two scalings at once
  factors[40] *= 1.001f;
  refuse({});
  factors[40] = NAN;
  refuse({});
}

}  // namespace
}  // namespace mantissa
