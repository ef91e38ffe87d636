#include "checkpoint/gguf_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kScores = "tokenizer.ggml.scores";
constexpr const char* kMark = "\xe2\x96\x81";  // stands for a space
// Every cut of a token is looked up, so that its length counts twice.
constexpr std::size_t kLongestToken = 512;
// Real vocabularies have about two merges a token.
constexpr std::size_t kMergesOfToken = 8;
constexpr std::size_t kMoreMerges = 65536;

[[noreturn]] void fail(std::string_view key, const std::string& what) {
  throw Error(ErrorKind::Input,
              fmt::format("GGUF key {}: {}", quoted_name(key), what));
}

// SentencePiece's types normal, user-defined and unused. No text holds a space
// once its spaces are replaced.
bool takes_part(const std::string& token, std::int64_t type) {
  return (type == 1 || type == 4 || type == 5) &&
         token.find(' ') == std::string::npos;
}

Json replace_step(const char* from, const char* to) {
  return {
      {"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

}  // namespace

std::vector<double> read_scores(const GgufMetadata& metadata,
                                const std::vector<std::string>& tokens) {
  const GgufValue* value = metadata.find(kScores);
  if (value == nullptr) {
    fail(kScores, "missing; a tokenizer of model llama has one for each token");
  }
  const auto* scores = std::get_if<std::vector<double>>(value);
  if (scores == nullptr) {
    fail(kScores,
         fmt::format("type: expected an array of floats, found {}",
                     kind_name(*value)));
  }
  if (scores->size() != tokens.size()) {
    fail(kScores,
         fmt::format("{} scores for {} tokens", scores->size(), tokens.size()));
  }
  for (std::size_t i = 0; i < scores->size(); ++i) {
    if (!std::isfinite((*scores)[i])) {
      fail(kScores, fmt::format("the score of token {} is not finite", i));
    }
  }
  return *scores;
}

std::vector<ScoreMerge> score_merges(const std::vector<std::string>& tokens,
                                     const std::vector<std::int64_t>& types,
                                     const std::vector<double>& scores) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!takes_part(tokens[i], types.empty() ? 1 : types[i])) continue;
    if (tokens[i].size() > kLongestToken) {
      fail(kTokens,
           fmt::format("token {} has {} bytes, expected at most {} in a "
                       "tokenizer of model llama",
                       i,
                       tokens[i].size(),
                       kLongestToken));
    }
    ids.emplace(tokens[i], i);
  }
  const std::size_t most = kMergesOfToken * tokens.size() + kMoreMerges;
  std::vector<ScoreMerge> merges;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    const auto own = ids.find(token);
    if (own == ids.end() || own->second != i) continue;
    for (std::size_t cut = utf8_sequence(token); cut < token.size();
         cut += utf8_sequence(token.substr(cut))) {
      if (!ids.contains(token.substr(0, cut)) ||
          !ids.contains(token.substr(cut))) {
        continue;
      }
      if (merges.size() == most) {
        fail(kTokens,
             fmt::format("more than {} merges follow from {} tokens",
                         most,
                         tokens.size()));
      }
      merges.push_back(
          {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(cut)});
    }
  }
  // Stable: by token and cut where scores are equal.
  std::ranges::stable_sort(
      merges, std::greater(), [&](const ScoreMerge& merge) {
        return scores[merge.token];
      });
  return merges;
}

std::string space_normalizer_json(bool prefix) {
  const Json replace = replace_step(" ", kMark);
  if (!prefix) return replace.dump();
  const Json prepend = {{"type", "Prepend"}, {"prepend", kMark}};
  return Json{{"type", "Sequence"},
              {"normalizers", Json::array({prepend, replace})}}
      .dump();
}

std::string space_decoder_json(bool prefix) {
  Json steps = Json::array({replace_step(kMark, " "),
                            {{"type", "ByteFallback"}},
                            {{"type", "Fuse"}}});
  if (prefix) {
    steps.push_back(
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return Json{{"type", "Sequence"}, {"decoders", steps}}.dump();
}

}  // namespace mantissa
