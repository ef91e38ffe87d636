#include "checkpoint/gguf_pre_tokenizers.h"

#include <nlohmann/json.hpp>

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// GPT-2's expression is built into ByteLevel.
Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json sequence(Json first, Json second) {
  return {
      {"type", "Sequence"},
      {"pretokenizers", Json::array({std::move(first), std::move(second)})}};
}

Json split(const char* regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

std::string gpt2_json() { return byte_level(true).dump(); }

std::string smollm_json() {
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  return sequence(digits, byte_level(true)).dump();
}

std::string llama3_json() {
  constexpr const char* kRegex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
      R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return sequence(split(kRegex), byte_level(false)).dump();
}

// One digit at a time; elsewhere it splits like Llama 3's.
std::string qwen2_json() {
  constexpr const char* kRegex =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
      R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  return sequence(split(kRegex), byte_level(false)).dump();
}

constexpr PreTokenizer kRows[] = {
    {"gpt-2", "null", gpt2_json, false, false},
    {"llama-bpe", "null", llama3_json, true, true},
    {"qwen2", R"({"type":"NFC"})", qwen2_json, false, false},
    {"smollm", "null", smollm_json, false, false},
};

}  // namespace

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
  for (const PreTokenizer& row : kRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const PreTokenizer& row : kRows) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace mantissa
