#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <mantissa/text/tokenizer.h>

#include "text/vocabulary.h"
#include "text/word_cache.h"

namespace mantissa::text {

/// What one thread needs to run a model.
struct ModelScratch {
  WordCache words;
  std::vector<TokenId> symbols;
  std::vector<std::uint32_t> ranks;
};

/// The model of a tokenizer: one piece of text to tokens.
class Model {
 public:
  virtual ~Model() = default;
  virtual void tokenize(std::string_view word,
                        ModelScratch& scratch,
                        std::vector<TokenId>& ids) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
};

}  // namespace mantissa::text
