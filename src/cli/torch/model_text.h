#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/text/tokenizer.h>

namespace mantissa::cli {

/// Bytes of a text that is read whole.
constexpr std::int64_t kLargestText = 1'000'000'000;

/// The contents of a text file, or of stdin for "-", at most `limit` bytes.
/// Throws Error(Input).
std::string read_words(const std::string& path, std::int64_t limit);

/// The tokenizer that lies beside a model's weights: tokenizer.json, or a
/// SentencePiece tokenizer.model. Throws Error(Input) when there is none.
Tokenizer model_tokenizer(const CheckpointSource& source);

/// The model's chat template: chat_template.jinja, else what
/// tokenizer_config.json says ("default", if it has several). Throws
/// Error(Usage) with the remedy when it has none.
std::string model_chat_template(const CheckpointSource& source);

/// Token ids as the models take them.
std::vector<std::int64_t> wide_ids(const std::vector<TokenId>& ids);

}  // namespace mantissa::cli
