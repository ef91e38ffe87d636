#include <cmath>

#include <mantissa/core/error.h>

#include "support/hostile_files.h"
#include "support/raw_gguf.h"

namespace mantissa::support {
namespace {

// What makes a good file bad, and words that its error must say.
struct Spoiled {
  std::string name;
  void (*spoil)(RawGguf& file);
  std::string says;
  std::string says_too = "";
};

// The same for a head that is sound and a model that is not.
struct Refused {
  std::string name;
  void (*change)(RawGguf& file);
  ErrorKind kind;
  std::string says;
};

constexpr std::uint32_t kF32 = 0;
constexpr std::uint32_t kQ4_0 = 2;
constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;

std::string u32(std::uint32_t value) { return raw(value); }
std::string u64(std::uint64_t value) { return raw(value); }

RawGguf& with_scores(RawGguf& file, const std::vector<float>& scores) {
  return file.set_string("tokenizer.ggml.model", "llama")
      .set_f32s("tokenizer.ggml.scores", scores);
}

void only_tensor(RawGguf& file, const std::string& bytes) {
  file = RawGguf();
  file.tensor_count = 1;
  file.more_tensors = bytes + std::string(64, '\0');
}

void only_pair(RawGguf& file, const std::string& bytes) {
  file = RawGguf();
  file.key_count = 1;
  file.more_keys = bytes + std::string(64, '\0');
}

const Spoiled kFiles[] = {
    {"Magic", [](RawGguf& f) { f.magic = "GGUX"; }, "magic: expected \"GGUF\""},
    {"Version1",
     [](RawGguf& f) { f.version = u32(1); },
     "version: expected 3, found 1"},
    {"Version2",
     [](RawGguf& f) { f.version = u32(2); },
     "version: expected 3, found 2"},
    {"Version4",
     [](RawGguf& f) { f.version = u32(4); },
     "version: expected 3, found 4"},
    {"BigEndian",
     [](RawGguf& f) { f.version = std::string("\0\0\0\3", 4); },
     "big-endian"},
    {"TensorCountAboveFile",
     [](RawGguf& f) { f.tensor_count = kHuge; },
     "tensor count: count:"},
    {"TensorCountAllOnes",
     [](RawGguf& f) { f.tensor_count = UINT64_MAX; },
     "tensor count: count:"},
    {"KeyCountAboveFile",
     [](RawGguf& f) { f.key_count = kHuge; },
     "key count: count:"},
    {"KeyLengthAboveFile",
     [](RawGguf& f) { only_pair(f, u64(kHuge)); },
     "string length"},
    {"KeyLengthAboveCap",
     [](RawGguf& f) { only_pair(f, raw_string(std::string(70000, 'k'))); },
     "expected at most 65535"},
    {"KeyEmpty",
     [](RawGguf& f) { only_pair(f, raw_string("") + u32(4)); },
     "name: empty"},
    {"KeyNotUtf8",
     [](RawGguf& f) { only_pair(f, raw_string("k\xff") + u32(4)); },
     "not printable UTF-8"},
    {"KeyTwice",
     [](RawGguf& f) {
       f = RawGguf();
       f.key_count = 2;
       const std::string pair = raw_string("k") + u32(4) + u32(7);
       f.more_keys = pair + pair;
     },
     "key \"k\"",
     "appears twice"},
    {"ValueType",
     [](RawGguf& f) { only_pair(f, raw_string("k") + u32(13)); },
     "key \"k\": type: unknown number 13"},
    {"ValueTruncated",
     [](RawGguf& f) {
       f = RawGguf();
       f.key_count = 1;
       f.alignment = 1;
       f.more_keys = raw_string("k") + u32(12) + u32(0);
     },
     "key \"k\": truncated"},
    {"Bool",
     [](RawGguf& f) { f.set_bool("k", 2); },
     "key \"k\": bool: expected 0 or 1"},
    {"StringAboveFile",
     [](RawGguf& f) { only_pair(f, raw_string("k") + u32(8) + u64(kHuge)); },
     "key \"k\": string length"},
    {"ArrayElementType",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(99) + u64(1));
     },
     "key \"k\": array: unknown element type 99"},
    {"ArrayOfArrays",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(9) + u64(1));
     },
     "key \"k\": array: arrays of arrays"},
    {"ArrayAboveFile",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(10) + u64(kHuge));
     },
     "key \"k\": count:"},
    {"ArrayOfStringsAboveFile",
     [](RawGguf& f) {
       only_pair(f, raw_string("k") + u32(9) + u32(8) + u64(10));
     },
     "key \"k\": count: 10",
     "at most 9"},
    {"AlignmentZero",
     [](RawGguf& f) { f.set_u32("general.alignment", 0); },
     "alignment: expected a power of two"},
    {"AlignmentNoPowerOfTwo",
     [](RawGguf& f) { f.set_u32("general.alignment", 48); },
     "alignment: expected a power of two",
     "found 48"},
    {"AlignmentAboveCap",
     [](RawGguf& f) { f.set_u32("general.alignment", 1u << 21); },
     "alignment: expected a power of two of at most 1048576"},
    {"AlignmentType",
     [](RawGguf& f) { f.set_string("general.alignment", "32"); },
     "alignment: expected an unsigned integer"},
    {"Rank",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {1, 1, 1, 1, 1}, kF32));
     },
     "tensor \"w\": rank: expected at most 4, found 5"},
    {"Dimension",
     [](RawGguf& f) { only_tensor(f, raw_tensor("w", {UINT64_MAX}, kF32)); },
     "tensor \"w\": dimension: expected >= 0"},
    {"ElementCountOverflows",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {kHuge, kHuge}, kF32));
     },
     "tensor \"w\"",
     "overflow"},
    {"OverflowBehindZero",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {kHuge, 0, 8}, kF32));
     },
     "tensor \"w\"",
     "overflow"},
    {"ByteSizeOverflows",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {1, kHuge}, kF32));
     },
     "tensor \"w\": byte size: overflow"},
    {"RowLength",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {48, 2}, kQ4_0));
     },
     "tensor \"w\": row length: 48 is not divisible by the 32"},
    {"TensorType",
     [](RawGguf& f) { only_tensor(f, raw_tensor("w", {32}, 1000)); },
     "tensor \"w\": type: unknown number 1000"},
    {"RemovedTensorType",
     [](RawGguf& f) { only_tensor(f, raw_tensor("w", {32}, 4)); },
     "tensor \"w\": type: unknown number 4"},
    {"NameTooLong",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor(std::string(64, 'n'), {1}, 0));
     },
     "tensor 0: string length: 64 bytes, expected at most 63"},
    {"NameEmpty",
     [](RawGguf& f) { only_tensor(f, raw_tensor("", {1}, kF32)); },
     "tensor 0: name: empty"},
    {"NameWithZero",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor(std::string("a\0b", 3), {1}, kF32));
     },
     "not printable UTF-8"},
    {"NameTwice",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {1}, kF32) + raw_tensor("w", {1}, kF32));
       f.tensor_count = 2;
     },
     "name: \"w\" appears twice"},
    {"OffsetAhead",
     [](RawGguf& f) { f.offset_error = 32; },
     "tensor \"blk.0.attn_norm.weight\": offset: expected 2048, found 2080"},
    {"OffsetBehind",
     [](RawGguf& f) { f.offset_error = -2048; },
     "offset: expected 2048, found 0"},
    {"OffsetUnaligned",
     [](RawGguf& f) { f.offset_error = 4; },
     "offset: expected 2048, found 2052"},
    {"DataMissing",
     [](RawGguf& f) {
       only_tensor(f, raw_tensor("w", {64, 64}, kF32));
     },
     "tensor \"w\": truncated: the tensor ends at byte"},
};

constexpr ErrorKind kUsage = ErrorKind::Usage;
constexpr ErrorKind kInput = ErrorKind::Input;

const Refused kRefused[] = {
    {"Architecture",
     [](RawGguf& f) { f.set_string("general.architecture", "qwen2"); },
     kUsage,
     "\"qwen2\" is not supported; this version converts: llama"},
    {"NoArchitecture",
     [](RawGguf& f) { f.remove_key("general.architecture"); },
     kInput,
     "\"general.architecture\": missing"},
    {"ExpertsWithoutUse",
     [](RawGguf& f) { f.set_u32("llama.expert_count", 8); },
     kInput,
     "\"llama.expert_used_count\": missing"},
    {"MoreExpertsUsed",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_u32("llama.expert_used_count", 4);
     },
     kInput,
     "\"llama.expert_used_count\": 4 of 3 experts"},
    {"TooManyExperts",
     [](RawGguf& f) {
       f.set_u32("llama.expert_count", 1 << 16)
           .set_u32("llama.expert_used_count", 1)
           .set_u32("llama.block_count", 6);
     },
     kInput,
     "65536 experts in 6 layers are more than 1048576 matrices"},
    {"MoreExpertsThanAnyModel",
     [](RawGguf& f) {
       f.set_u32("llama.expert_count", 100000)
           .set_u32("llama.expert_used_count", 2);
     },
     kInput,
     "\"llama.expert_count\": expected 1 to 65536, found 100000"},
    {"ExpertsOfAnotherNumber",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_u32("llama.expert_count", 4);
     },
     kInput,
     "\"blk.0.ffn_gate_inp.weight\": shape: expected [4, 64], found [3, 64]"},
    {"ExpertsInTwoDimensions",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_f32_tensor(
           "blk.0.ffn_up_exps.weight", {64, 288}, std::vector<float>(64 * 288));
     },
     kInput,
     "shape: expected [3, 96, 64], found [288, 64]"},
    {"ExpertsMissing",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.remove_tensor("blk.0.ffn_down_exps.weight");
     },
     kInput,
     "\"blk.0.ffn_down_exps.weight\": missing"},
    {"OneExpertMissing",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.split_experts().remove_tensor("blk.0.ffn_down.0.weight");
     },
     kInput,
     "\"blk.0.ffn_down.0.weight\": missing"},
    {"OneExpertTwice",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_f32_tensor(
           "blk.0.ffn_up.2.weight", {64, 96}, std::vector<float>(64 * 96));
     },
     kInput,
     "\"blk.0.ffn_up.2.weight\": \"blk.0.ffn_up_exps.weight\" holds this "
     "expert too"},
    {"OneExpertTooMany",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.split_experts().set_f32_tensor(
           "blk.0.ffn_up.3.weight", {64, 96}, std::vector<float>(64 * 96));
     },
     kUsage,
     "\"blk.0.ffn_up.3.weight\": no tensor of a llama model with experts"},
    {"OneExpertOfAnotherShape",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.split_experts().set_f32_tensor(
           "blk.0.ffn_up.1.weight", {64, 95}, std::vector<float>(64 * 95));
     },
     kInput,
     "\"blk.0.ffn_up.1.weight\": shape: expected [96, 64], found [95, 64]"},
    {"OneExpertOfADenseModel",
     [](RawGguf& f) {
       f.set_f32_tensor(
           "blk.0.ffn_up.0.weight", {64, 96}, std::vector<float>(64 * 96));
     },
     kUsage,
     "no tensor of a dense llama model"},
    {"DenseBesideExperts",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_f32_tensor(
           "blk.0.ffn_up.weight", {64, 96}, std::vector<float>(64 * 96));
     },
     kUsage,
     "no tensor of a llama model with experts"},
    {"BiasesBesideExperts",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       for (const auto& [name, n] : {std::pair("q", 64),
                                     std::pair("k", 32),
                                     std::pair("v", 32),
                                     std::pair("output", 64)}) {
         f.set_f32_tensor(std::string("blk.0.attn_") + name + ".bias",
                          {static_cast<std::uint64_t>(n)},
                          std::vector<float>(static_cast<std::size_t>(n)));
       }
     },
     kUsage,
     "biases of attention beside experts"},
    {"QwenWithoutExperts",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.remove_key("qwen3moe.expert_count");
     },
     kInput,
     "\"qwen3moe.expert_count\": missing"},
    {"QwenWithoutWidth",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.remove_key("qwen3moe.expert_feed_forward_length")
           .set_u32("qwen3moe.feed_forward_length", 1);
     },
     kInput,
     "\"qwen3moe.expert_feed_forward_length\": missing"},
    {"QwenNormMissing",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.remove_tensor("blk.0.attn_k_norm.weight");
     },
     kInput,
     "\"blk.0.attn_k_norm.weight\": missing"},
    {"QwenBias",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.set_f32_tensor("blk.0.attn_q.bias", {64}, std::vector<float>(64));
     },
     kUsage,
     "\"blk.0.attn_q.bias\": no tensor of a qwen3moe model"},
    {"QwenRopeFactors",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.set_f32_tensor("rope_freqs.weight", {8}, std::vector<float>(8, 1.0f));
     },
     kUsage,
     "\"rope_freqs.weight\": no tensor of a qwen3moe model"},
    {"QwenUnknownKey",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.set_u32("qwen3moe.expert_shared_count", 1);
     },
     kUsage,
     "\"qwen3moe.expert_shared_count\": not understood"},
    {"ExpertsNotNormalized",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.set_bool("qwen3moe.expert_weights_norm", 0);
     },
     kUsage,
     "\"qwen3moe.expert_weights_norm\": false"},
    {"ExpertsBySigmoid",
     [](RawGguf& f) {
       f = RawGguf::tiny_qwen3moe();
       f.set_u32("qwen3moe.expert_gating_func", 2);
     },
     kUsage,
     "\"qwen3moe.expert_gating_func\": 2; only 1, softmax"},
    {"MixtralOfTwoWidths",
     [](RawGguf& f) {
       f = RawGguf::tiny_mixtral();
       f.set_u32("llama.expert_feed_forward_length", 48);
     },
     kUsage,
     "\"llama.expert_feed_forward_length\": 48: expected 96"},
    {"UnknownKey",
     [](RawGguf& f) { f.set_f32("llama.logit_scale", 0.5f); },
     kUsage,
     "\"llama.logit_scale\": not understood"},
    {"Window",
     [](RawGguf& f) { f.set_u32("llama.attention.sliding_window", 64); },
     kUsage,
     "sliding attention"},
    {"PartialRotary",
     [](RawGguf& f) {
       f.set_u32("llama.attention.key_length", 16)
           .set_u32("llama.rope.dimension_count", 8);
     },
     kUsage,
     "partial rotary"},
    {"ValueLength",
     [](RawGguf& f) { f.set_u32("llama.attention.value_length", 8); },
     kUsage,
     "\"llama.attention.value_length\""},
    {"NoEps",
     [](RawGguf& f) { f.remove_key("llama.attention.layer_norm_rms_epsilon"); },
     kInput,
     "layer_norm_rms_epsilon\": missing"},
    {"ZeroHeads",
     [](RawGguf& f) { f.set_u32("llama.attention.head_count", 0); },
     kInput,
     "head_count\": expected 1"},
    {"KeyOfWrongType",
     [](RawGguf& f) { f.set_string("llama.block_count", "1"); },
     kInput,
     "\"llama.block_count\": type: expected one whole number >= 0, found a "
     "string"},
    {"HeadsPerLayer",
     [](RawGguf& f) {
       f.set_i32s("llama.attention.head_count", {4, 2});
     },
     kInput,
     "found an array of signed integers"},
    {"ManyLayers",
     [](RawGguf& f) { f.set_u32("llama.block_count", 4096); },
     kInput,
     "\"llama.block_count\": 4096 layers, the file has 11 tensors"},
    {"MoreLayersThanAnyModel",
     [](RawGguf& f) { f.set_u32("llama.block_count", 1 << 29); },
     kInput,
     "\"llama.block_count\": expected 1 to 4096, found 536870912"},
    {"EpsAboveOne",
     [](RawGguf& f) {
       f.set_f32("llama.attention.layer_norm_rms_epsilon", 1.5f);
     },
     kInput,
     "layer_norm_rms_epsilon\": expected 0 to 1, found 1.5"},
    {"UnknownTensor",
     [](RawGguf& f) { f.set_f32_tensor("blk.0.attn_qkv.weight", {1}, {1}); },
     kUsage,
     "\"blk.0.attn_qkv.weight\": no tensor of a dense llama"},
    {"LayerOutside",
     [](RawGguf& f) { f.set_f32_tensor("blk.1.attn_norm.weight", {1}, {1}); },
     kUsage,
     "\"blk.1.attn_norm.weight\": no tensor"},
    {"LayerPadded",
     [](RawGguf& f) { f.set_f32_tensor("blk.00.attn_norm.weight", {1}, {1}); },
     kUsage,
     "\"blk.00.attn_norm.weight\": no tensor"},
    {"LayerMinusZero",
     [](RawGguf& f) { f.set_f32_tensor("blk.-0.attn_norm.weight", {1}, {1}); },
     kUsage,
     "\"blk.-0.attn_norm.weight\": no tensor"},
    {"MissingTensor",
     [](RawGguf& f) { f.remove_tensor("blk.0.ffn_up.weight"); },
     kInput,
     "\"blk.0.ffn_up.weight\": missing"},
    {"WrongShape",
     [](RawGguf& f) {
       f.set_f32_tensor("blk.0.ffn_norm.weight", {32}, std::vector<float>(32));
     },
     kInput,
     "\"blk.0.ffn_norm.weight\": shape: expected [64], found [32]"},
    {"HalfOfTheBiases",
     [](RawGguf& f) {
       f.set_f32_tensor("blk.0.attn_q.bias", {64}, std::vector<float>(64));
     },
     kUsage,
     "\"blk.0.attn_k.bias\": missing"},
    {"VocabularySize",
     [](RawGguf& f) { f.set_u32("llama.vocab_size", 9); },
     kInput,
     "\"llama.vocab_size\": expected 8"},
    {"RopeScaling",
     [](RawGguf& f) { f.set_string("llama.rope.scaling.type", "longrope"); },
     kUsage,
     "found \"longrope\""},
    {"RopeScalingKey",
     [](RawGguf& f) { f.set_f32("llama.rope.scaling.attn_factor", 1.5f); },
     kUsage,
     "\"llama.rope.scaling.attn_factor\": not understood"},
    {"YarnWithoutLength",
     [](RawGguf& f) { f.set_string("llama.rope.scaling.type", "yarn"); },
     kUsage,
     "yarn without original_context_length"},
    {"RopeFactors",
     [](RawGguf& f) {
       f.set_f32_tensor("rope_freqs.weight", {8}, {1, 2, 3, 4, 5, 6, 7, 8});
     },
     kUsage,
     "\"rope_freqs.weight\": factor 1 is 2"},
    {"RopeFactorCount",
     [](RawGguf& f) {
       f.set_f32_tensor("rope_freqs.weight", {2}, {1, 1});
     },
     kInput,
     "\"rope_freqs.weight\": expected [8]"},
    {"TokenizerModel",
     [](RawGguf& f) { f.set_string("tokenizer.ggml.model", "t5"); },
     kUsage,
     "\"t5\"; this version converts tokenizers of model gpt2 (byte-level BPE) "
     "and llama (SentencePiece BPE with scores)"},
    {"ScoresMissing",
     [](RawGguf& f) { f.set_string("tokenizer.ggml.model", "llama"); },
     kInput,
     "\"tokenizer.ggml.scores\": missing"},
    {"ScoreCount",
     [](RawGguf& f) {
       with_scores(f, {1, 2});
     },
     kInput,
     "\"tokenizer.ggml.scores\": 2 scores for 8 tokens"},
    {"ScoreNotFinite",
     [](RawGguf& f) {
       with_scores(f, {0, 0, 0, 0, 0, 0, 0, HUGE_VALF});
     },
     kInput,
     "the score of token 7 is not finite"},
    {"ScoresNotFloats",
     [](RawGguf& f) {
       f.set_string("tokenizer.ggml.model", "llama")
           .set_i32s("tokenizer.ggml.scores", {0, 1, 2, 3, 4, 5, 6, 7});
     },
     kInput,
     "expected an array of floats, found an array of signed integers"},
    {"LongScoredToken",
     [](RawGguf& f) {
       with_scores(f, {0, 1, 2, 3, 4, 5, 6, 7})
           .set_strings("tokenizer.ggml.tokens",
                        {"<s>",
                         "</s>",
                         "a",
                         "b",
                         "ab",
                         "c",
                         std::string(513, 'x'),
                         "d"});
     },
     kInput,
     "token 6 has 513 bytes, expected at most 512"},
    {"ScoredBosWithoutId",
     [](RawGguf& f) {
       with_scores(f, {0, 1, 2, 3, 4, 5, 6, 7})
           .remove_key("tokenizer.ggml.bos_token_id");
     },
     kInput,
     "true, but the file names no such id"},
    {"NoTokenizer",
     [](RawGguf& f) { f.remove_key("tokenizer.ggml.model"); },
     kUsage,
     "missing; this version converts tokenizers of model gpt2"},
    {"PreTokenizer",
     [](RawGguf& f) { f.set_string("tokenizer.ggml.pre", "tekken"); },
     kUsage,
     "\"tekken\"; this version converts the pre-tokenizers gpt-2, llama-bpe, "
     "qwen2, smollm"},
    {"NoPreTokenizer",
     [](RawGguf& f) { f.remove_key("tokenizer.ggml.pre"); },
     kUsage,
     "missing; this version converts the pre-tokenizers"},
    {"TokenTwice",
     [](RawGguf& f) {
       f.set_strings("tokenizer.ggml.tokens",
                     {"a", "b", "c", "d", "e", "f", "g", "a"});
     },
     kInput,
     "token 7 \"a\" appears twice"},
    {"TokenNotUtf8",
     [](RawGguf& f) {
       f.set_strings("tokenizer.ggml.tokens",
                     {"<s>", "</s>", "a", "b", "ab", "c", "abc", "\xff"});
     },
     kInput,
     "token 7 is not UTF-8"},
    {"LongToken",
     [](RawGguf& f) {
       f.set_strings(
           "tokenizer.ggml.tokens",
           {"<s>", "</s>", "a", "b", "ab", "c", "abc", std::string(4097, 'x')});
     },
     kInput,
     "token 7 has 4097 bytes, expected at most 4096"},
    {"MoreTokensThanRows",
     [](RawGguf& f) {
       f.set_strings("tokenizer.ggml.tokens",
                     {"<s>", "</s>", "a", "b", "ab", "c", "abc", "d", "e"});
     },
     kInput,
     "9 tokens, the embedding has 8 rows"},
    {"TypeCount",
     [](RawGguf& f) {
       f.set_i32s("tokenizer.ggml.token_type", {1, 1});
     },
     kInput,
     "2 types for 8 tokens"},
    {"MergeOfThree",
     [](RawGguf& f) { f.set_strings("tokenizer.ggml.merges", {"a b c"}); },
     kInput,
     "merge 0 \"a b c\": expected two tokens"},
    {"MergeWithoutToken",
     [](RawGguf& f) { f.set_strings("tokenizer.ggml.merges", {"a c"}); },
     kInput,
     "\"ac\" is no token"},
    {"SpecialIdOutside",
     [](RawGguf& f) { f.set_u32("tokenizer.ggml.bos_token_id", 8); },
     kInput,
     "bos_token_id\": 8 is not below the 8 tokens"},
    {"BosWithoutId",
     [](RawGguf& f) {
       f.set_bool("tokenizer.ggml.add_bos_token", 1)
           .remove_key("tokenizer.ggml.bos_token_id");
     },
     kInput,
     "true, but the file names no such id"},
    {"TemplateNotUtf8",
     [](RawGguf& f) { f.set_string("tokenizer.chat_template", "\xc0"); },
     kInput,
     "\"tokenizer.chat_template\": not UTF-8"},
};

}  // namespace

std::vector<HostileFile> hostile_gguf() {
  std::vector<HostileFile> out;
  for (const auto& [name, spoil, says, says_too] : kFiles) {
    RawGguf file = RawGguf::tiny_llama();
    spoil(file);
    out.push_back({name, file.bytes(), says, says_too});
  }
  return out;
}

std::vector<HostileFile> refused_gguf() {
  std::vector<HostileFile> out;
  for (const auto& [name, change, kind, says] : kRefused) {
    RawGguf file = RawGguf::tiny_llama();
    change(file);
    out.push_back({name, file.bytes(), says, "", kind});
  }
  return out;
}

}  // namespace mantissa::support
