#include "support/raw_gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mantissa::support {
namespace {

constexpr std::uint32_t kUint32 = 4;
constexpr std::uint32_t kInt32 = 5;
constexpr std::uint32_t kFloat32 = 6;
constexpr std::uint32_t kBool = 7;
constexpr std::uint32_t kString = 8;
constexpr std::uint32_t kArray = 9;

std::string type(std::uint32_t number) { return raw(number); }

void pad(std::string& bytes, std::uint64_t alignment) {
  while (bytes.size() % alignment != 0) bytes += '\0';
}

}  // namespace

std::string raw_string(std::string_view text) {
  return raw<std::uint64_t>(text.size()) + std::string(text);
}

std::string raw_tensor(std::string_view name,
                       const std::vector<std::uint64_t>& ne,
                       std::uint32_t type) {
  std::string bytes =
      raw_string(name) + raw(static_cast<std::uint32_t>(ne.size()));
  for (const std::uint64_t extent : ne) bytes += raw(extent);
  return bytes + raw(type) + raw(std::uint64_t{0});
}

RawGguf RawGguf::tiny_llama() {
  RawGguf file;
  file.set_string("general.architecture", "llama")
      .set_u32("llama.block_count", 1)
      .set_u32("llama.context_length", 128)
      .set_u32("llama.embedding_length", 64)
      .set_u32("llama.feed_forward_length", 96)
      .set_u32("llama.attention.head_count", 4)
      .set_u32("llama.attention.head_count_kv", 2)
      .set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .set_string("tokenizer.ggml.model", "gpt2")
      .set_string("tokenizer.ggml.pre", "smollm")
      .set_strings("tokenizer.ggml.tokens",
                   {"<s>", "</s>", "a", "b", "ab", "c", "abc", "d"})
      .set_i32s("tokenizer.ggml.token_type", {3, 3, 1, 1, 1, 1, 1, 4})
      .set_strings("tokenizer.ggml.merges", {"a b", "ab c"})
      .set_u32("tokenizer.ggml.bos_token_id", 0)
      .set_u32("tokenizer.ggml.eos_token_id", 1);
  const std::pair<const char*, std::vector<std::uint64_t>> kTensors[] = {
      {"token_embd.weight", {64, 8}},
      {"blk.0.attn_norm.weight", {64}},
      {"blk.0.ffn_norm.weight", {64}},
      {"blk.0.attn_q.weight", {64, 64}},
      {"blk.0.attn_k.weight", {64, 32}},
      {"blk.0.attn_v.weight", {64, 32}},
      {"blk.0.attn_output.weight", {64, 64}},
      {"blk.0.ffn_gate.weight", {64, 96}},
      {"blk.0.ffn_up.weight", {64, 96}},
      {"blk.0.ffn_down.weight", {96, 64}},
      {"output_norm.weight", {64}},
  };
  float first = 0;
  for (const auto& [name, ne] : kTensors) {
    const std::uint64_t count = ne[0] * (ne.size() > 1 ? ne[1] : 1);
    std::vector<float> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      values.push_back(first + static_cast<float>(i) / 1024);
    }
    file.set_f32_tensor(name, ne, values);
    first += 1;
  }
  return file;
}

RawGguf RawGguf::tiny_mixtral() {
  RawGguf file = tiny_llama();
  file.set_u32("llama.expert_count", 3).set_u32("llama.expert_used_count", 2);
  for (const char* name : {"gate", "up", "down"}) {
    file.remove_tensor(std::string("blk.0.ffn_") + name + ".weight");
  }
  const std::pair<const char*, std::vector<std::uint64_t>> kTensors[] = {
      {"blk.0.ffn_gate_inp.weight", {64, 3}},
      {"blk.0.ffn_gate_exps.weight", {64, 96, 3}},
      {"blk.0.ffn_up_exps.weight", {64, 96, 3}},
      {"blk.0.ffn_down_exps.weight", {96, 64, 3}},
  };
  float first = 20;
  for (const auto& [name, ne] : kTensors) {
    const std::uint64_t count = ne[0] * ne[1] * (ne.size() > 2 ? ne[2] : 1);
    std::vector<float> values;
    for (std::uint64_t i = 0; i < count; ++i) {
      values.push_back(first + static_cast<float>(i) / 1024);
    }
    file.set_f32_tensor(name, ne, values);
    first += 1;
  }
  return file;
}

RawGguf& RawGguf::set_architecture(std::string_view name) {
  constexpr std::string_view kKey = "general.architecture";
  const auto old = std::ranges::find(
      keys_, kKey, &std::pair<std::string, std::string>::first);
  // Behind its type and its length.
  const std::string prefix = old->second.substr(12) + ".";
  for (auto& [key, value] : keys_) {
    if (key.starts_with(prefix)) {
      key = std::string(name) + "." + key.substr(prefix.size());
    }
  }
  return set_string(kKey, name);
}

RawGguf& RawGguf::split_experts() {
  std::vector<Tensor> split;
  for (const Tensor& tensor : tensors_) {
    const std::size_t at = tensor.name.find("_exps.weight");
    if (at == std::string::npos) {
      split.push_back(tensor);
      continue;
    }
    const std::size_t size = tensor.data.size() / tensor.ne[2];
    for (std::uint64_t e = 0; e < tensor.ne[2]; ++e) {
      split.push_back(
          {tensor.name.substr(0, at) + "." + std::to_string(e) + ".weight",
           tensor.type,
           {tensor.ne[0], tensor.ne[1]},
           tensor.data.substr(e * size, size)});
    }
  }
  tensors_ = std::move(split);
  return *this;
}

RawGguf RawGguf::tiny_qwen3moe() {
  RawGguf file = tiny_mixtral();
  file.set_architecture("qwen3moe")
      .set_u32("qwen3moe.attention.key_length", 16)
      .set_u32("qwen3moe.attention.value_length", 16)
      .set_u32("qwen3moe.feed_forward_length", 384)
      .set_u32("qwen3moe.expert_feed_forward_length", 96)
      .set_string("tokenizer.ggml.pre", "qwen2");
  for (const float first : {30.0f, 31.0f}) {
    std::vector<float> values;
    for (int i = 0; i < 16; ++i) {
      values.push_back(first + static_cast<float>(i) / 1024);
    }
    file.set_f32_tensor(first == 30.0f ? "blk.0.attn_q_norm.weight"
                                       : "blk.0.attn_k_norm.weight",
                        {16},
                        values);
  }
  return file;
}

RawGguf& RawGguf::set_raw(std::string_view key, std::string_view value) {
  for (auto& [name, old] : keys_) {
    if (name == key) {
      old = value;
      return *this;
    }
  }
  keys_.emplace_back(key, value);
  return *this;
}

RawGguf& RawGguf::set_u32(std::string_view key, std::uint32_t value) {
  return set_raw(key, type(kUint32) + raw(value));
}

RawGguf& RawGguf::set_f32(std::string_view key, float value) {
  return set_raw(key,
                 type(kFloat32) + raw(std::bit_cast<std::uint32_t>(value)));
}

RawGguf& RawGguf::set_bool(std::string_view key, std::uint8_t value) {
  return set_raw(key, type(kBool) + raw(value));
}

RawGguf& RawGguf::set_string(std::string_view key, std::string_view value) {
  return set_raw(key, type(kString) + raw_string(value));
}

RawGguf& RawGguf::set_strings(std::string_view key,
                              const std::vector<std::string>& values) {
  std::string bytes =
      type(kArray) + type(kString) + raw<std::uint64_t>(values.size());
  for (const std::string& value : values) bytes += raw_string(value);
  return set_raw(key, bytes);
}

RawGguf& RawGguf::set_f32s(std::string_view key,
                           const std::vector<float>& values) {
  std::string bytes =
      type(kArray) + type(kFloat32) + raw<std::uint64_t>(values.size());
  for (const float value : values) {
    bytes += raw(std::bit_cast<std::uint32_t>(value));
  }
  return set_raw(key, bytes);
}

RawGguf& RawGguf::set_i32s(std::string_view key,
                           const std::vector<std::int32_t>& values) {
  std::string bytes =
      type(kArray) + type(kInt32) + raw<std::uint64_t>(values.size());
  for (const std::int32_t value : values) {
    bytes += raw(static_cast<std::uint32_t>(value));
  }
  return set_raw(key, bytes);
}

RawGguf& RawGguf::remove_key(std::string_view key) {
  std::erase_if(keys_, [&](const auto& pair) { return pair.first == key; });
  return *this;
}

RawGguf& RawGguf::set_tensor(std::string_view name,
                             std::uint32_t type,
                             std::vector<std::uint64_t> ne,
                             std::string data) {
  Tensor tensor{std::string(name), type, std::move(ne), std::move(data)};
  for (Tensor& old : tensors_) {
    if (old.name == name) {
      old = std::move(tensor);
      return *this;
    }
  }
  tensors_.push_back(std::move(tensor));
  return *this;
}

RawGguf& RawGguf::set_f32_tensor(std::string_view name,
                                 std::vector<std::uint64_t> ne,
                                 const std::vector<float>& values) {
  std::string data(values.size() * sizeof(float), '\0');
  std::memcpy(data.data(), values.data(), data.size());
  return set_tensor(name, 0, std::move(ne), std::move(data));
}

RawGguf& RawGguf::remove_tensor(std::string_view name) {
  std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  return *this;
}

std::string RawGguf::bytes() const {
  std::string head =
      magic + version +
      raw<std::uint64_t>(tensor_count.value_or(tensors_.size())) +
      raw<std::uint64_t>(key_count.value_or(keys_.size()));
  for (const auto& [key, value] : keys_) head += raw_string(key) + value;
  head += more_keys;
  std::string data;
  for (const Tensor& tensor : tensors_) {
    const std::int64_t lie = &tensor == &tensors_[0] ? 0 : offset_error;
    head += raw_string(tensor.name);
    head += raw<std::uint32_t>(static_cast<std::uint32_t>(tensor.ne.size()));
    for (const std::uint64_t extent : tensor.ne) head += raw(extent);
    head += raw(tensor.type);
    head += raw(data.size() + static_cast<std::uint64_t>(lie));
    data += tensor.data;
    pad(data, alignment);
  }
  head += more_tensors;
  pad(head, alignment);
  return head + data;
}

}  // namespace mantissa::support
