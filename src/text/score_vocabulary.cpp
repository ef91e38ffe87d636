#include <mantissa/text/score_vocabulary.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "core/utf8.h"
#include "text/bpe.h"
#include "text/tokenizer_parts.h"

namespace mantissa {
namespace {

using Kind = ScoreVocabulary::Kind;
using text::kNoToken;

// Every cut of a token is looked up, so that its length counts twice.
constexpr std::size_t kLongestToken = 512;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Input, "vocabulary with scores: " + what);
}

text::Vocabulary checked_vocabulary(const ScoreVocabulary& scores) {
  if (scores.tokens.size() > static_cast<std::size_t>(text::kMaxTokens)) {
    fail(fmt::format(
        "{} tokens, at most {}", scores.tokens.size(), text::kMaxTokens));
  }
  std::vector<std::string> texts;
  for (const auto& token : scores.tokens) {
    const std::size_t id = texts.size();
    if (token.text.empty() || token.text.size() > kLongestToken) {
      fail(fmt::format("token {} has {} bytes, expected 1 to {}",
                       id,
                       token.text.size(),
                       kLongestToken));
    }
    if (!is_utf8(token.text)) fail(fmt::format("token {} is not UTF-8", id));
    if (!std::isfinite(token.score)) {
      fail(fmt::format("the score of token {} is not finite", id));
    }
    texts.push_back(token.text);
  }
  text::Vocabulary vocabulary(std::move(texts));
  for (std::size_t id = 0; id < scores.tokens.size(); ++id) {
    const std::string& token = scores.tokens[id].text;
    if (vocabulary.find(token) != static_cast<TokenId>(id)) {
      fail(fmt::format("token {} {} appears twice", id, quoted_name(token)));
    }
  }
  return vocabulary;
}

// Equal scores are equal ranks: the leftmost is merged first.
std::vector<std::uint32_t> ranks_of(const ScoreVocabulary& scores) {
  std::vector<float> sorted;
  for (const auto& token : scores.tokens) sorted.push_back(token.score);
  std::ranges::sort(sorted, std::greater());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::vector<std::uint32_t> ranks;
  for (const auto& token : scores.tokens) {
    const auto at =
        std::ranges::lower_bound(sorted, token.score, std::greater());
    ranks.push_back(static_cast<std::uint32_t>(at - sorted.begin()));
  }
  return ranks;
}

struct PairOf {
  TokenId left;
  TokenId right;
  text::Merge merge;
};

// What two tokens make together is a token: a merge, with its score.
text::PairTable merges_of(const ScoreVocabulary& scores,
                          const text::Vocabulary& vocabulary) {
  const std::vector<std::uint32_t> ranks = ranks_of(scores);
  std::vector<PairOf> pairs;
  const auto merges = [&](TokenId id) {
    const Kind kind = scores.tokens[static_cast<std::size_t>(id)].kind;
    return kind == Kind::Normal || kind == Kind::UserDefined ||
           kind == Kind::Unused;
  };
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (!merges(id)) continue;
    const std::string_view text = *vocabulary.text(id);
    for (std::size_t cut = utf8_sequence(text); cut < text.size();
         cut += utf8_sequence(text.substr(cut))) {
      const TokenId left = vocabulary.find(text.substr(0, cut));
      if (left == kNoToken || !merges(left)) continue;
      const TokenId right = vocabulary.find(text.substr(cut));
      if (right == kNoToken || !merges(right)) continue;
      pairs.push_back({left, right, {ranks[static_cast<std::size_t>(id)], id}});
    }
  }
  text::PairTable table(pairs.size());
  for (const PairOf& pair : pairs) {
    table.set(pair.left, pair.right, pair.merge);
  }
  return table;
}

std::vector<text::AddedToken> added_tokens(const ScoreVocabulary& scores) {
  std::vector<text::AddedToken> added;
  for (std::size_t id = 0; id < scores.tokens.size(); ++id) {
    const auto& token = scores.tokens[id];
    const bool special =
        token.kind == Kind::Control || token.kind == Kind::Unknown;
    if (!special && token.kind != Kind::UserDefined) continue;
    added.push_back({.id = static_cast<TokenId>(id),
                     .content = token.text,
                     .normalized = !special,
                     .special = special});
  }
  return added;
}

void check_id(std::optional<TokenId> id,
              std::string_view name,
              const ScoreVocabulary& scores) {
  if (id &&
      (*id < 0 || static_cast<std::size_t>(*id) >= scores.tokens.size())) {
    fail(fmt::format("the id {} of {} lies outside its {} tokens",
                     *id,
                     name,
                     scores.tokens.size()));
  }
}

TokenId required(std::optional<TokenId> id, std::string_view name) {
  if (!id) fail(fmt::format("{} is to be added, but has no id", name));
  return *id;
}

}  // namespace

Tokenizer make_score_tokenizer(const ScoreVocabulary& scores) {
  check_id(scores.unknown, "the unknown token", scores);
  check_id(scores.bos, "BOS", scores);
  check_id(scores.eos, "EOS", scores);
  text::Vocabulary vocabulary = checked_vocabulary(scores);
  text::PairTable merges = merges_of(scores, vocabulary);
  auto parts = std::make_shared<Tokenizer::Parts>();
  parts->model = std::make_unique<text::Bpe>(
      std::move(vocabulary),
      std::move(merges),
      text::BpeOptions{.unknown = scores.unknown.value_or(kNoToken),
                       .fuse_unknown = true,
                       .byte_fallback = true});
  parts->normalizer = text::make_space_normalizer(scores.add_space_prefix);
  parts->decoder = text::make_space_decoder(scores.add_space_prefix);
  parts->added = text::AddedTokens(
      added_tokens(scores), parts->model->vocabulary(), nullptr);
  parts->bos = scores.bos;
  parts->eos = scores.eos;
  if (scores.add_bos) parts->around.before = {required(scores.bos, "BOS")};
  if (scores.add_eos) parts->around.after = {required(scores.eos, "EOS")};
  return Tokenizer(std::move(parts));
}

}  // namespace mantissa
