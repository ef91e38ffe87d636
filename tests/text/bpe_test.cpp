#include "text/bpe.h"

#include <gtest/gtest.h>
#include <algorithm>

#include <random>

namespace mantissa::text {
namespace {

// Letters a to d, and tokens that are made of two others.
Bpe random_bpe(std::mt19937& random) {
  std::vector<std::string> tokens = {"a", "b", "c", "d"};
  std::vector<std::pair<TokenId, TokenId>> pairs;
  while (tokens.size() < 40) {
    const auto pick = [&] {
      return static_cast<TokenId>(random() % tokens.size());
    };
    const TokenId left = pick();
    const TokenId right = pick();
    std::string whole = tokens[static_cast<std::size_t>(left)] +
                        tokens[static_cast<std::size_t>(right)];
    if (std::ranges::find(tokens, whole) != tokens.end()) continue;
    tokens.push_back(std::move(whole));
    pairs.emplace_back(left, right);
  }
  PairTable merges(pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    merges.set(pairs[i].first,
               pairs[i].second,
               {static_cast<std::uint32_t>(i), static_cast<TokenId>(i + 4)});
  }
  return Bpe(Vocabulary(std::move(tokens)), std::move(merges), {});
}

// From the definition: the pair of the least rank, the leftmost first.
std::vector<TokenId> by_definition(const Bpe& bpe,
                                   const PairTable& merges,
                                   std::string_view word) {
  std::vector<TokenId> ids;
  for (const char c : word) {
    ids.push_back(bpe.vocabulary().find(std::string(1, c)));
  }
  while (true) {
    std::size_t best = ids.size();
    std::uint32_t rank = Merge::kNone;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const std::uint32_t here = merges.get(ids[i], ids[i + 1]).rank;
      if (here < rank) {
        rank = here;
        best = i;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = merges.get(ids[best], ids[best + 1]).token;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, ShortAndLongWordsFollowTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const Bpe bpe = random_bpe(random);
    ModelScratch scratch;
    for (const std::size_t length : {0, 1, 2, 7, 47, 48, 49, 50, 129, 400}) {
      std::string word;
      while (word.size() < length) {
        word += static_cast<char>('a' + random() % 4);
      }
      std::vector<TokenId> ids;
      bpe.tokenize(word, scratch, ids);
      EXPECT_EQ(ids, by_definition(bpe, bpe.merges(), word)) << word;
    }
  }
}

TEST(Bpe, AMegabyteOfOneWordTakesNoQuadraticTime) {
  std::mt19937 random(3);
  const Bpe bpe = random_bpe(random);
  std::string word;
  while (word.size() < (1u << 20))
    word += static_cast<char>('a' + random() % 4);
  ModelScratch scratch;
  std::vector<TokenId> ids;
  bpe.tokenize(word, scratch, ids);  // hours, were it quadratic
  std::string whole;
  for (const TokenId id : ids) whole += *bpe.vocabulary().text(id);
  EXPECT_EQ(whole, word);
}

}  // namespace
}  // namespace mantissa::text
