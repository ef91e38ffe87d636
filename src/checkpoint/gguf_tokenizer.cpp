#include "checkpoint/gguf_tokenizer.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/gguf_pre_tokenizers.h"
#include "checkpoint/gguf_scores.h"
#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;
using Vocabulary = std::unordered_map<std::string_view, std::int64_t>;

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::int64_t kUnknownToken = 2;
constexpr std::int64_t kControl = 3;      // never produced from plain text
constexpr std::int64_t kUserDefined = 4;  // found in text before the merges
// Real ones have hundreds; one put around text is written a dozen times.
constexpr std::size_t kLongestToken = 4096;

[[noreturn]] void fail(ErrorKind kind,
                       std::string_view key,
                       const std::string& what) {
  throw Error(kind, fmt::format("GGUF key {}: {}", quoted_name(key), what));
}

const std::vector<std::string>& required_strings(const GgufMetadata& metadata,
                                                 std::string_view key) {
  const auto* strings = metadata.strings(key);
  if (strings == nullptr) fail(ErrorKind::Input, key, "missing");
  return *strings;
}

enum class Family { ByteLevel, Scores };

Family family_of(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.model";
  const std::string* model = metadata.string(kKey);
  if (model != nullptr && *model == "gpt2") return Family::ByteLevel;
  if (model != nullptr && *model == "llama") return Family::Scores;
  fail(ErrorKind::Usage,
       kKey,
       fmt::format("{}; this version converts tokenizers of model gpt2 "
                   "(byte-level BPE) and llama (SentencePiece BPE with scores)",
                   model == nullptr ? "missing" : quoted_name(*model)));
}

const PreTokenizer& find_pre(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.pre";
  const std::string* pre = metadata.string(kKey);
  const PreTokenizer* found =
      pre == nullptr ? nullptr : find_pre_tokenizer(*pre);
  if (found == nullptr) {
    fail(ErrorKind::Usage,
         kKey,
         fmt::format("{}; this version converts the pre-tokenizers {}",
                     pre == nullptr ? "missing" : quoted_name(*pre),
                     pre_tokenizer_names()));
  }
  return *found;
}

Vocabulary index_tokens(const std::vector<std::string>& tokens,
                        std::int64_t rows) {
  if (static_cast<std::int64_t>(tokens.size()) > rows) {
    fail(ErrorKind::Input,
         kTokens,
         fmt::format(
             "{} tokens, the embedding has {} rows", tokens.size(), rows));
  }
  Vocabulary ids;
  ids.reserve(tokens.size());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].size() > kLongestToken) {
      fail(ErrorKind::Input,
           kTokens,
           fmt::format("token {} has {} bytes, expected at most {}",
                       i,
                       tokens[i].size(),
                       kLongestToken));
    }
    if (!is_utf8(tokens[i])) {
      fail(ErrorKind::Input, kTokens, fmt::format("token {} is not UTF-8", i));
    }
    if (!ids.emplace(tokens[i], static_cast<std::int64_t>(i)).second) {
      fail(ErrorKind::Input,
           kTokens,
           fmt::format("token {} {} appears twice", i, quoted_name(tokens[i])));
    }
  }
  return ids;
}

// A merge is two tokens with a space between; both and their union are tokens.
void check_merge(std::string_view merge,
                 std::size_t index,
                 const Vocabulary& ids) {
  const std::size_t space = merge.find(' ');
  const bool split = space != std::string_view::npos && space > 0 &&
                     space + 1 < merge.size() &&
                     merge.find(' ', space + 1) == std::string_view::npos;
  if (!split) {
    fail(ErrorKind::Input,
         kMerges,
         fmt::format("merge {} {}: expected two tokens with one space between",
                     index,
                     quoted_name(merge)));
  }
  const std::string_view left = merge.substr(0, space);
  const std::string_view right = merge.substr(space + 1);
  const std::string joined = std::string(left) + std::string(right);
  for (const std::string_view token : {left, right, std::string_view(joined)}) {
    if (!ids.contains(token)) {
      fail(ErrorKind::Input,
           kMerges,
           fmt::format("merge {} {}: {} is no token",
                       index,
                       quoted_name(merge),
                       quoted_name(token)));
    }
  }
}

std::string json_string(std::string_view text) {
  return Json(std::string(text)).dump();
}

// Written by hand: an ordered object of nlohmann's is quadratic to fill.
std::string vocabulary_json(const std::vector<std::string>& tokens) {
  std::string out = "{";
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out += fmt::format(
        "{}\n      {}: {}", i == 0 ? "" : ",", json_string(tokens[i]), i);
  }
  return out + "\n    }";
}

std::string merges_json(const std::vector<std::string>& merges) {
  std::string out = "[";
  for (std::size_t i = 0; i < merges.size(); ++i) {
    out +=
        fmt::format("{}\n      {}", i == 0 ? "" : ",", json_string(merges[i]));
  }
  return out + "\n    ]";
}

std::string merges_json(const std::vector<ScoreMerge>& merges,
                        const std::vector<std::string>& tokens) {
  std::string out = "[";
  for (const ScoreMerge& merge : merges) {
    std::string text = tokens[merge.token];
    text.insert(merge.cut, 1, ' ');
    out += out.size() == 1 ? "\n      " : ",\n      ";
    out += json_string(text);
  }
  return out + "\n    ]";
}

// The type of every token; empty when the file has none.
std::vector<std::int64_t> token_types(const GgufMetadata& metadata,
                                      std::size_t tokens) {
  auto types = metadata.integers(kTypes);
  if (!types) return {};
  if (types->size() != tokens) {
    fail(ErrorKind::Input,
         kTypes,
         fmt::format("{} types for {} tokens", types->size(), tokens));
  }
  return std::move(*types);
}

// By hand like the vocabulary: as a tree each would cost a kilobyte.
std::string added_tokens_json(const std::vector<std::int64_t>& types,
                              const std::vector<std::string>& tokens,
                              Family family) {
  std::string out = "[";
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool special = types[i] == kControl || (types[i] == kUnknownToken &&
                                                  family == Family::Scores);
    if (!special && types[i] != kUserDefined) continue;
    if (tokens[i].empty()) {
      fail(ErrorKind::Input,
           kTokens,
           fmt::format("token {} is special and empty", i));
    }
    out += fmt::format(
        "{}{{\"id\":{},\"content\":{},\"single_word\":false,\"lstrip\":false,"
        "\"rstrip\":false,\"normalized\":false,\"special\":{}}}",
        out.size() == 1 ? "" : ",",
        i,
        json_string(tokens[i]),
        special);
  }
  return out + "]";
}

Json special_piece(const std::string& token, int sequence) {
  return {{"SpecialToken", {{"id", token}, {"type_id", sequence}}}};
}

Json sequence_piece(const char* id, int sequence) {
  return {{"Sequence", {{"id", id}, {"type_id", sequence}}}};
}

// What adds BOS and EOS around every sequence; null when neither is added.
Json post_processor(const std::string* bos,
                    const std::string* eos,
                    const SpecialTokens& special) {
  if (bos == nullptr && eos == nullptr) return nullptr;
  Json single = Json::array();
  Json pair = Json::array();
  const auto append = [&](const char* id, int sequence) {
    if (bos != nullptr) pair.push_back(special_piece(*bos, sequence));
    pair.push_back(sequence_piece(id, sequence));
    if (eos != nullptr) pair.push_back(special_piece(*eos, sequence));
    if (sequence == 0) single = pair;
  };
  append("A", 0);
  append("B", 1);
  Json tokens = Json::object();
  const auto declare = [&](const std::string* token, std::int64_t id) {
    if (token == nullptr) return;
    tokens[*token] = {{"id", *token}, {"ids", {id}}, {"tokens", {*token}}};
  };
  declare(bos, special.bos.value_or(0));
  declare(eos, special.eos.value_or(0));
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", tokens}};
}

// The token that is put around text when `key` (or the default) says so.
const std::string* added_around(const GgufMetadata& metadata,
                                std::string_view key,
                                bool by_default,
                                std::optional<std::int64_t> id,
                                const std::vector<std::string>& tokens) {
  if (!metadata.boolean(key).value_or(by_default)) return nullptr;
  if (!id) fail(ErrorKind::Input, key, "true, but the file names no such id");
  return &tokens[static_cast<std::size_t>(*id)];
}

// What the two families write differently.
struct TokenizerShape {
  std::string normalizer;
  std::string pre_tokenizer;
  std::string decoder;
  std::string unknown = "null";
  bool byte_fallback = false;
  bool ignore_merges = false;
  bool adds_bos = false;
  std::string merges;  // as JSON
};

TokenizerShape byte_level_shape(const GgufMetadata& metadata,
                                const Vocabulary& ids) {
  const PreTokenizer& pre = find_pre(metadata);
  const auto& merges = required_strings(metadata, kMerges);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    check_merge(merges[i], i, ids);
  }
  const Json decoder = {{"type", "ByteLevel"},
                        {"add_prefix_space", true},
                        {"trim_offsets", true},
                        {"use_regex", true}};
  return {.normalizer = std::string(pre.normalizer),
          .pre_tokenizer = pre.json(),
          .decoder = decoder.dump(),
          .ignore_merges = pre.ignore_merges,
          .adds_bos = pre.adds_bos,
          .merges = merges_json(merges)};
}

TokenizerShape score_shape(const GgufMetadata& metadata,
                           const std::vector<std::string>& tokens,
                           const std::vector<std::int64_t>& types,
                           const SpecialTokens& special) {
  const bool prefix =
      metadata.boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  TokenizerShape shape{
      .normalizer = space_normalizer_json(prefix),
      .pre_tokenizer = "null",
      .decoder = space_decoder_json(prefix),
      .byte_fallback = true,
      .adds_bos = true,
      .merges = merges_json(
          score_merges(tokens, types, read_scores(metadata, tokens)), tokens)};
  auto unknown = special.unknown;
  const auto found = std::ranges::find(types, kUnknownToken);
  if (!unknown && found != types.end()) unknown = found - types.begin();
  if (unknown) {
    shape.unknown = json_string(tokens[static_cast<std::size_t>(*unknown)]);
  }
  return shape;
}

std::string tokenizer_json(const GgufMetadata& metadata,
                           const TokenizerShape& shape,
                           const std::string& added_tokens,
                           const SpecialTokens& special) {
  const auto& tokens = required_strings(metadata, kTokens);
  const Json post = post_processor(
      added_around(metadata,
                   "tokenizer.ggml.add_bos_token",
                   shape.adds_bos,
                   special.bos,
                   tokens),
      added_around(
          metadata, "tokenizer.ggml.add_eos_token", false, special.eos, tokens),
      special);
  return fmt::format(
      "{{\n"
      "  \"version\": \"1.0\",\n"
      "  \"truncation\": null,\n"
      "  \"padding\": null,\n"
      "  \"added_tokens\": {},\n"
      "  \"normalizer\": {},\n"
      "  \"pre_tokenizer\": {},\n"
      "  \"post_processor\": {},\n"
      "  \"decoder\": {},\n"
      "  \"model\": {{\n"
      "    \"type\": \"BPE\",\n"
      "    \"dropout\": null,\n"
      "    \"unk_token\": {},\n"
      "    \"continuing_subword_prefix\": null,\n"
      "    \"end_of_word_suffix\": null,\n"
      "    \"fuse_unk\": {},\n"
      "    \"byte_fallback\": {},\n"
      "    \"ignore_merges\": {},\n"
      "    \"vocab\": {},\n"
      "    \"merges\": {}\n"
      "  }}\n"
      "}}\n",
      added_tokens,
      shape.normalizer,
      shape.pre_tokenizer,
      post.dump(),
      shape.decoder,
      shape.unknown,
      shape.byte_fallback,
      shape.byte_fallback,
      shape.ignore_merges,
      vocabulary_json(tokens),
      shape.merges);
}

// One template, or a list when the file has named ones beside the default.
Json chat_template(const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const auto checked = [](std::string_view key, const std::string& text) {
    if (!is_utf8(text)) fail(ErrorKind::Input, key, "not UTF-8");
    return text;
  };
  Json named = Json::array();
  if (const std::string* text = metadata.string(kKey)) {
    named.push_back({{"name", "default"}, {"template", checked(kKey, *text)}});
  }
  for (const GgufMetadata::Pair& pair : metadata.pairs()) {
    const std::string prefix = std::string(kKey) + ".";
    if (!pair.key.starts_with(prefix)) continue;
    named.push_back(
        {{"name", pair.key.substr(prefix.size())},
         {"template", checked(pair.key, *metadata.string(pair.key))}});
  }
  if (named.empty()) return nullptr;
  if (named.size() == 1 && named[0]["name"] == "default") {
    return named[0]["template"];
  }
  return named;
}

std::string tokenizer_config_json(const GgufMetadata& metadata,
                                  const SpecialTokens& special,
                                  std::int64_t positions) {
  const auto& tokens = required_strings(metadata, kTokens);
  Json json;
  const auto put = [&](const char* key, std::optional<std::int64_t> id) {
    if (id) json[key] = tokens[static_cast<std::size_t>(*id)];
  };
  put("bos_token", special.bos);
  const Json chat = chat_template(metadata);
  if (!chat.is_null()) json["chat_template"] = chat;
  json["clean_up_tokenization_spaces"] = false;
  put("eos_token", special.eos);
  json["model_max_length"] = positions;
  put("pad_token", special.pad);
  // Transformers drops the pre-tokenizer of the file for "GPT2Tokenizer".
  json["tokenizer_class"] = "PreTrainedTokenizerFast";
  put("unk_token", special.unknown);
  return json.dump(2) + "\n";
}

}  // namespace

GgufTokenizer read_tokenizer(const GgufMetadata& metadata,
                             const SpecialTokens& special,
                             std::int64_t vocabulary,
                             std::int64_t positions) {
  const Family family = family_of(metadata);
  const auto& tokens = required_strings(metadata, kTokens);
  const Vocabulary ids = index_tokens(tokens, vocabulary);
  const auto types = token_types(metadata, tokens.size());
  const TokenizerShape shape =
      family == Family::ByteLevel
          ? byte_level_shape(metadata, ids)
          : score_shape(metadata, tokens, types, special);
  return {
      tokenizer_json(
          metadata, shape, added_tokens_json(types, tokens, family), special),
      tokenizer_config_json(metadata, special, positions)};
}

}  // namespace mantissa
