#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <mantissa/text/tokenizer.h>

#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"

namespace mantissa {

/// What a tokenizer consists of. Any part but the model may be absent.
struct Tokenizer::Parts {
  std::unique_ptr<text::Normalizer> normalizer;
  std::unique_ptr<text::PreTokenizer> pre_tokenizer;
  std::unique_ptr<text::Model> model;
  std::unique_ptr<text::Decoder> decoder;
  text::AddedTokens added;
  text::Surround around;
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;

  /// Scratch memory, kept between calls; each call takes one.
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<text::ModelScratch>> idle;
};

}  // namespace mantissa
