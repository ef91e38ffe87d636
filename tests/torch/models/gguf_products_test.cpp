// GGUF blocks that multiply as they are stored, beside the same file decoded.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/float_casts.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/model_loading.h>
#include <mantissa/torch/quantized_tensor.h>

#include "support/raw_gguf.h"
#include "support/temp_dir.h"
#include "torch/models/model_weights.h"

namespace mantissa {
namespace {

using support::RawGguf;
using ::testing::HasSubstr;

struct BlockType {
  const char* name;
  std::uint32_t number;
  std::uint64_t size;  // values of a block
  std::size_t bytes;
  float unit;     // of d: values are about 0.1
  std::size_t d;  // where the half floats stand; m, 0: there is none
  std::size_t m = 0;
  float m_by_d = 0.0f;
};

constexpr BlockType kQ4_0 = {"Q4_0", 2, 32, 18, 0.02f, 0};
constexpr BlockType kQ4_1 = {"Q4_1", 3, 32, 20, 0.02f, 0, 2, -8.0f};
constexpr BlockType kQ5_0 = {"Q5_0", 6, 32, 22, 0.02f, 0};
constexpr BlockType kQ5_1 = {"Q5_1", 7, 32, 24, 0.01f, 0, 2, -16.0f};
constexpr BlockType kQ8_0 = {"Q8_0", 8, 32, 34, 0.002f, 0};
constexpr BlockType kQ2_K = {"Q2_K", 10, 256, 84, 0.01f, 80, 82, 1.5f};
constexpr BlockType kQ3_K = {"Q3_K", 11, 256, 110, 0.003f, 108};
constexpr BlockType kQ4_K = {"Q4_K", 12, 256, 144, 0.0004f, 0, 2, 7.5f};
constexpr BlockType kQ5_K = {"Q5_K", 13, 256, 176, 0.0002f, 0, 2, 15.0f};
constexpr BlockType kQ6_K = {"Q6_K", 14, 256, 210, 0.0001f, 208};

constexpr BlockType kAll[] = {
    kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ8_0, kQ2_K, kQ3_K, kQ4_K, kQ5_K, kQ6_K};

// Blocks with random codes, and scales such that values are about 0.1.
std::string blocks(const BlockType& type, std::uint64_t count) {
  std::mt19937 random(static_cast<unsigned>(type.number + count));
  std::uniform_real_distribution<float> scale(0.2f, 1.0f);
  std::string out;
  for (std::uint64_t b = 0; b < count; ++b) {
    // Some scales are negative, as llama.cpp makes them.
    const float d = scale(random) * type.unit * (b % 3 == 0 ? -1.0f : 1.0f);
    std::string block;
    for (std::size_t i = 0; i < type.bytes; ++i) {
      block += static_cast<char>(random() & 0xff);
    }
    block.replace(type.d, 2, support::raw<std::uint16_t>(float_to_float16(d)));
    if (type.m_by_d != 0.0f) {
      block.replace(
          type.m,
          2,
          support::raw<std::uint16_t>(float_to_float16(type.m_by_d * d)));
    }
    out += block;
  }
  return out;
}

using Ne = std::vector<std::uint64_t>;

void set_blocks(RawGguf& file,
                const std::string& name,
                const BlockType& type,
                const Ne& ne) {
  file.set_tensor(
      name,
      type.number,
      ne,
      blocks(type, ne[0] * ne[1] * (ne.size() > 2 ? ne[2] : 1) / type.size));
}

using Matrices = std::vector<std::pair<std::string, Ne>>;

Matrices matrices_of(std::uint64_t hidden, std::uint64_t feed_forward) {
  return {{"token_embd.weight", {hidden, 8}},
          {"blk.0.attn_q.weight", {hidden, hidden}},
          {"blk.0.attn_k.weight", {hidden, hidden / 2}},
          {"blk.0.attn_v.weight", {hidden, hidden / 2}},
          {"blk.0.attn_output.weight", {hidden, hidden}},
          {"blk.0.ffn_gate.weight", {hidden, feed_forward}},
          {"blk.0.ffn_up.weight", {hidden, feed_forward}},
          {"blk.0.ffn_down.weight", {feed_forward, hidden}}};
}

const Matrices& matrices() {
  static const Matrices all = matrices_of(64, 96);
  return all;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

class GgufProductsTest : public ::testing::Test {
 protected:
  // All matrices of one type.
  RawGguf file_of(const BlockType& type) const {
    RawGguf file = RawGguf::tiny_llama();
    const std::uint64_t hidden = type.size == 32 ? 64 : 256;
    const std::uint64_t feed_forward = type.size == 32 ? 96 : 512;
    file.set_u32("llama.embedding_length", static_cast<std::uint32_t>(hidden))
        .set_u32("llama.feed_forward_length",
                 static_cast<std::uint32_t>(feed_forward));
    for (const auto& [name, ne] : matrices_of(hidden, feed_forward)) {
      set_blocks(file, name, type, ne);
    }
    const std::vector<float> ones(hidden, 1.0f);
    for (const char* norm : {"blk.0.attn_norm.weight",
                             "blk.0.ffn_norm.weight",
                             "output_norm.weight"}) {
      file.set_f32_tensor(norm, {hidden}, ones);
    }
    return file;
  }

  // The same as a Mixtral of 3 experts.
  RawGguf mixtral_of(const BlockType& type, std::uint32_t experts = 3) const {
    RawGguf file = file_of(type);
    const std::uint64_t hidden = type.size == 32 ? 64 : 256;
    const std::uint64_t feed_forward = type.size == 32 ? 96 : 512;
    file.set_u32("llama.expert_count", experts)
        .set_u32("llama.expert_used_count", std::min(experts, 2U));
    for (const std::string part : {"gate", "up", "down"}) {
      file.remove_tensor("blk.0.ffn_" + part + ".weight");
      const bool down = part == "down";
      set_blocks(file,
                 "blk.0.ffn_" + part + "_exps.weight",
                 type,
                 {down ? feed_forward : hidden,
                  down ? hidden : feed_forward,
                  experts});
    }
    std::vector<float> router;
    for (std::uint64_t i = 0; i < experts * hidden; ++i) {
      router.push_back(0.1f * static_cast<float>(i * 7 % 13) - 0.6f);
    }
    return file.set_f32_tensor(
        "blk.0.ffn_gate_inp.weight", {hidden, experts}, router);
  }

  // The same as a Qwen 3 with experts, whose heads are of another size.
  RawGguf qwen_of(const BlockType& type) const {
    RawGguf file = mixtral_of(type);
    file.set_architecture("qwen3moe")
        .set_u32("qwen3moe.expert_feed_forward_length",
                 type.size == 32 ? 96 : 512)
        .set_u32("qwen3moe.feed_forward_length", 1024);
    const std::uint64_t head = type.size == 32 ? 16 : 64;
    for (const char* norm :
         {"blk.0.attn_q_norm.weight", "blk.0.attn_k_norm.weight"}) {
      file.set_f32_tensor(norm, {head}, std::vector<float>(head, 1.5f));
    }
    return file;
  }

  std::filesystem::path save(const RawGguf& file) const {
    return dir_.write("model.gguf", file.bytes());
  }

  static ModelOptions options(Int8Compute compute,
                              c10::ScalarType dtype = c10::ScalarType::Float) {
    ModelOptions out;
    out.compute_dtype = dtype;
    out.int8_compute = compute;
    return out;
  }

  static at::Tensor logits(const std::filesystem::path& path,
                           const ModelOptions& options) {
    const torch::NoGradGuard no_grad;
    const auto model = load_decoder(path, options);
    return model->forward(torch::tensor({{2, 3, 4, 5, 6, 7, 2}}))
        .to(at::kFloat);
  }

  // Logits from the codes of a file, all of whose `weights` are of this type,
  // beside those of the decoded values; int8 activations are off by `int8`.
  void compare(const RawGguf& file,
               const BlockType& type,
               int weights,
               double int8) {
    const auto path = save(file);
    const at::Tensor decoded = logits(path, options(Int8Compute::None));
    ASSERT_TRUE(decoded.isfinite().all().item<bool>()) << type.name;
    EXPECT_EQ(
        products_text(DecoderCheckpoint(path, options(Int8Compute::Float))
                          .quantized_weights()),
        fmt::format(
            "{0} weights multiply as stored ({1} {0})", weights, type.name));
    const auto off = [&](Int8Compute compute, c10::ScalarType dtype) {
      return distance(logits(path, options(compute, dtype)), decoded);
    };
    EXPECT_LT(off(Int8Compute::Float, at::kFloat), 2e-6) << type.name;
    EXPECT_GT(off(Int8Compute::Group32, at::kFloat), 1e-5) << type.name;
    EXPECT_LT(off(Int8Compute::Group32, at::kFloat), int8) << type.name;
    for (const auto dtype : {at::kBFloat16, at::kHalf}) {
      EXPECT_LT(off(Int8Compute::Float, dtype), 0.03)
          << type.name << " " << dtype;
    }
  }

  support::TempDir dir_;
};

TEST_F(GgufProductsTest, CodesMultiplyToTheLogitsOfTheirValues) {
  for (const BlockType& type : kAll) compare(file_of(type), type, 8, 0.02);
}

// Experts too, whose gates and ups are one weight here.
TEST_F(GgufProductsTest, CodesOfExpertsMultiply) {
  for (const BlockType& type : kAll) compare(mixtral_of(type), type, 7, 0.03);
  compare(mixtral_of(kQ4_0, 1), kQ4_0, 7, 0.03);  // one is a layer's tensor too
}

TEST_F(GgufProductsTest, CodesOfQwensExpertsMultiply) {
  for (const BlockType& type : kAll) compare(qwen_of(type), type, 7, 0.03);
}

// The same file with a tensor for each expert.
TEST_F(GgufProductsTest, CodesOfExpertsOneByOneMultiply) {
  for (const BlockType& type : {kQ4_0, kQ6_K}) {
    RawGguf file = mixtral_of(type);
    const at::Tensor fused = logits(save(file), options(Int8Compute::Group32));
    compare(file.split_experts(), type, 7, 0.03);
    EXPECT_TRUE(
        torch::equal(logits(save(file), options(Int8Compute::Group32)), fused))
        << type.name;
  }
}

TEST_F(GgufProductsTest, ExpertsOfDifferentTypesAreDecoded) {
  RawGguf file = mixtral_of(kQ4_0);
  set_blocks(file, "blk.0.ffn_up_exps.weight", kQ8_0, {64, 96, 3});
  const auto path = save(file);
  EXPECT_THAT(products_text(DecoderCheckpoint(path, options(Int8Compute::Float))
                                .quantized_weights()),
              HasSubstr("its matrices differ in format"));
  EXPECT_LT(distance(logits(path, options(Int8Compute::Float)),
                     logits(path, options(Int8Compute::None))),
            2e-6);
}

// Rows of q and k move; codes and scales alike.
TEST_F(GgufProductsTest, WeightsHoldTheValuesOfTheBlocksBitForBit) {
  for (const BlockType& type : kAll) {
    const auto path = save(file_of(type));
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const CheckpointWeights decoded = open_weights(path, dtype);
      const CheckpointWeights codes =
          open_weights(path, dtype, GgufBlocks::Lowbit);
      int packed = 0;
      for (const CheckpointWeight& weight : codes.weights()) {
        if (weight.tied || weight.shape.size() != 2) continue;
        const at::Tensor value = codes.read(weight);
        ASSERT_TRUE(is_quantized_tensor(value)) << weight.name;
        EXPECT_EQ(weight.decoded, "");
        EXPECT_TRUE(torch::equal(mantissa::dequantize(value.to(dtype)),
                                 decoded.read(*decoded.find(weight.name))))
            << type.name << " " << weight.name;
        ++packed;
      }
      EXPECT_EQ(packed, 8);
    }
  }
}

TEST_F(GgufProductsTest, ThePlanCountsCodes) {
  const auto path = save(file_of(kQ4_0));
  std::int64_t values = 0;
  for (const auto& [name, ne] : matrices()) {
    values += static_cast<std::int64_t>(ne[0] * ne[1]);
  }
  const std::int64_t plain = 3 * 64 * 4;
  EXPECT_EQ(DecoderCheckpoint(path, options(Int8Compute::None)).plan().weights,
            plain + 4 * values);
  // 4 bits, a half float and a zero point at most in 32 values; rows of the
  // embedding fill a tile; sums of columns.
  const std::int64_t stored = values + 8 * 64;
  const auto plan = DecoderCheckpoint(path, options(Int8Compute::Float)).plan();
  EXPECT_EQ(plan.weights,
            plain + stored / 2 + stored / 32 * 3 +
                (16 + 64 + 32 + 32 + 64 + 96 + 96 + 64) * 4);
  // Codes one to a byte twice, their scales and zero points.
  EXPECT_EQ(plan.loading, 2 * 96 * 64 + 96 * 64 / 32 * 3);
}

TEST_F(GgufProductsTest, SaysWhatIsDecodedAndWhy) {
  RawGguf file = file_of(kQ4_0);
  set_blocks(file, "blk.0.ffn_up.weight", kQ4_1, {64, 96});
  set_blocks(file, "blk.0.ffn_gate.weight", kQ5_1, {64, 96});
  set_blocks(file, "blk.0.ffn_down.weight", kQ8_0, {96, 64});
  file.set_f32_tensor(
      "blk.0.attn_v.weight", {64, 32}, std::vector<float>(64 * 32, 0.01f));
  const auto path = save(file);
  const DecoderCheckpoint packs(path, options(Int8Compute::Group32));
  EXPECT_EQ(products_text(packs.quantized_weights()),
            "7 weights multiply as stored (Q4_0 4, Q4_1 1, Q5_1 1, Q8_0 1)");
  const DecoderCheckpoint decodes(path, options(Int8Compute::None));
  EXPECT_EQ(products_text(decodes.quantized_weights()),
            "7 weights are decoded (Q4_0 4, Q4_1 1, Q5_1 1, Q8_0 1: its values "
            "were asked for)");
  const at::Tensor decoded = logits(path, options(Int8Compute::None));
  EXPECT_LT(distance(logits(path, options(Int8Compute::Float)), decoded), 2e-6);
  EXPECT_EQ(products_text({}), "");
}

// No file of ours holds such blocks.
TEST_F(GgufProductsTest, SavedModelsHoldTheValues) {
  const auto path = save(file_of(kQ4_K));
  const auto model = load_decoder(path, options(Int8Compute::Float));
  const auto saved = dir_.path() / "saved";
  save_checkpoint(*model, saved, {.like = path});
  EXPECT_TRUE(torch::equal(logits(saved, options(Int8Compute::None)),
                           logits(path, options(Int8Compute::None))));
}

// A token at a time, which has a path of its own, gives the prompt's logits.
TEST_F(GgufProductsTest, DecodingGivesTheLogitsOfThePrompt) {
  const torch::NoGradGuard no_grad;
  const at::Tensor ids = torch::tensor({{2, 3, 4, 5, 6, 7, 2}});
  for (const BlockType& type : kAll) {
    const auto path = save(file_of(type));
    for (const Int8Compute compute :
         {Int8Compute::Group32, Int8Compute::Group64, Int8Compute::Token}) {
      const auto model = load_decoder(path, options(compute));
      const at::Tensor all = model->forward(ids);
      KvCache cache = model->make_cache(1, 16);
      at::Tensor last;
      for (std::int64_t i = 0; i < ids.size(1); ++i) {
        last = model->forward(ids.slice(1, i, i + 1), &cache);
      }
      EXPECT_LT(distance(last.select(1, 0), all.select(1, ids.size(1) - 1)),
                2e-5)
          << type.name << " " << static_cast<int>(compute);
    }
  }
}

TEST_F(GgufProductsTest, ThreadsDoNotChangeABit) {
  const int threads = at::get_num_threads();
  for (const BlockType& type : kAll) {
    const auto path = save(file_of(type));
    at::set_num_threads(1);
    const at::Tensor one = logits(path, options(Int8Compute::Group32));
    at::set_num_threads(2);
    EXPECT_TRUE(torch::equal(one, logits(path, options(Int8Compute::Group32))))
        << type.name;
  }
  at::set_num_threads(threads);
}

// Super-blocks: half floats of 256 values and a byte or two for each group.
TEST_F(GgufProductsTest, ThePlanCountsTwoLevelsOfScales) {
  std::int64_t values = 0;
  std::int64_t columns = 0;
  for (const auto& [name, ne] : matrices_of(256, 512)) {
    // Rows of the embedding fill a tile.
    const std::int64_t rows =
        std::max<std::int64_t>(16, static_cast<std::int64_t>(ne[1]));
    values += rows * static_cast<std::int64_t>(ne[0]);
    columns += rows;
  }
  const std::int64_t rest = 3 * 256 * 4 + columns * 4;
  for (const auto& [type, bytes] :
       {std::pair{kQ4_K, 128 + 16 + 4}, std::pair{kQ6_K, 192 + 16 + 2}}) {
    const auto path = save(file_of(type));
    EXPECT_EQ(
        DecoderCheckpoint(path, options(Int8Compute::Float)).plan().weights,
        rest + values / 256 * bytes)
        << type.name;
  }
}

TEST_F(GgufProductsTest, AnUntiedHeadIsAWeightOfItsOwn) {
  RawGguf file = file_of(kQ4_0);
  set_blocks(file, "output.weight", kQ8_0, {64, 8});
  const auto path = save(file);
  const DecoderCheckpoint checkpoint(path, options(Int8Compute::Float));
  EXPECT_EQ(products_text(checkpoint.quantized_weights()),
            "9 weights multiply as stored (Q4_0 8, Q8_0 1)");
  EXPECT_LT(distance(logits(path, options(Int8Compute::Float)),
                     logits(path, options(Int8Compute::None))),
            2e-6);
}

TEST_F(GgufProductsTest, AScaleThatIsNotFiniteIsNamed) {
  RawGguf file = file_of(kQ8_0);
  std::string bad = blocks(kQ8_0, 64 * 64 / 32);
  // Row 2 of the file, second group: row 1 of the head, as Hugging Face has it.
  bad.replace(5 * 34, 2, support::raw<std::uint16_t>(0x7c00));
  file.set_tensor("blk.0.attn_q.weight", 8, {64, 64}, bad);
  try {
    load_decoder(save(file), options(Int8Compute::Float));
    FAIL() << "accepted";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("self_attn.q_proj.weight\": row 1, group 1: the "
                          "scale is not finite"));
  }
}

}  // namespace
}  // namespace mantissa
