#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/utf8.h"
#include "text/tokenizer_parts.h"

namespace mantissa {
namespace {

using text::kNoToken;
using Parts = Tokenizer::Parts;

// Takes scratch memory and gives it back.
class Borrowed {
 public:
  explicit Borrowed(const Parts& parts) : parts_(parts) {
    const std::lock_guard lock(parts.mutex);
    if (parts.idle.empty()) {
      scratch_ = std::make_unique<text::ModelScratch>();
    } else {
      scratch_ = std::move(parts.idle.back());
      parts.idle.pop_back();
    }
  }
  ~Borrowed() {
    const std::lock_guard lock(parts_.mutex);
    parts_.idle.push_back(std::move(scratch_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  text::ModelScratch& operator*() { return *scratch_; }

 private:
  const Parts& parts_;
  std::unique_ptr<text::ModelScratch> scratch_;
};

void check_utf8(std::string_view all) {
  std::string_view text = all;
  while (!text.empty()) {
    const std::size_t bytes = utf8_sequence(text);
    if (bytes == 0) {
      throw Error(ErrorKind::Input,
                  fmt::format("the text to tokenize is not UTF-8 at byte {}",
                              all.size() - text.size()));
    }
    text.remove_prefix(bytes);
  }
}

// Text between added tokens, normalized. `first` tells that it begins where
// the whole text begins.
void encode_words(const Parts& parts,
                  std::string_view text,
                  bool first,
                  text::ModelScratch& scratch,
                  std::vector<TokenId>& ids) {
  text::Pieces pieces{std::string(text), {{{0, text.size()}, first}}};
  if (parts.pre_tokenizer != nullptr) parts.pre_tokenizer->apply(pieces);
  for (const auto& piece : pieces.parts) {
    parts.model->tokenize(pieces.view(piece), scratch, ids);
  }
}

void encode_text(const Parts& parts,
                 std::string_view raw,
                 bool first,
                 EncodeOptions options,
                 std::vector<TokenId>& ids) {
  std::string normal(raw);
  if (parts.normalizer != nullptr) parts.normalizer->apply(normal);
  Borrowed scratch(parts);
  for (const auto& part :
       parts.added.split(normal, true, options.parse_special)) {
    if (part.token != kNoToken) {
      ids.push_back(part.token);
      continue;
    }
    encode_words(
        parts,
        std::string_view(normal).substr(part.begin, part.end - part.begin),
        first && part.begin == 0,
        *scratch,
        ids);
  }
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Parts> parts)
    : parts_(std::move(parts)) {}

std::vector<TokenId> Tokenizer::encode(std::string_view text,
                                       EncodeOptions options) const {
  check_utf8(text);
  const text::RegexBudget budget(text.size());
  std::vector<TokenId> ids;
  if (options.add_special) ids = parts_->around.before;
  for (const auto& part :
       parts_->added.split(text, false, options.parse_special)) {
    if (part.token != kNoToken) {
      ids.push_back(part.token);
    } else {
      encode_text(*parts_,
                  text.substr(part.begin, part.end - part.begin),
                  part.begin == 0,
                  options,
                  ids);
    }
  }
  if (options.add_special) {
    const auto& after = parts_->around.after;
    ids.insert(ids.end(), after.begin(), after.end());
  }
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids,
                              DecodeOptions options) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (id < 0 || id >= vocabulary_size()) {
      throw Error(ErrorKind::Usage,
                  fmt::format("decode: token {} is not in the vocabulary, "
                              "which has {}",
                              id,
                              vocabulary_size()));
    }
    if (options.skip_special && is_special(id)) continue;
    if (const auto* added = parts_->added.find(id)) {
      tokens.push_back(added->shown);
    } else if (auto token = token_text(id)) {
      tokens.push_back(std::move(*token));
    }
  }
  std::string out;
  if (parts_->decoder != nullptr) {
    const text::RegexBudget budget(text::bytes_of(tokens));
    parts_->decoder->apply(tokens);
    for (const std::string& token : tokens) out += token;
    return out;
  }
  for (const std::string& token : tokens) {
    if (&token != tokens.data()) out += ' ';
    out += token;
  }
  return out;
}

std::int64_t Tokenizer::vocabulary_size() const {
  return std::max(parts_->model->vocabulary().size(), parts_->added.size());
}

std::optional<std::string> Tokenizer::token_text(TokenId id) const {
  if (const auto* added = parts_->added.find(id)) return added->content;
  const std::string* text = parts_->model->vocabulary().text(id);
  if (text == nullptr) return std::nullopt;
  return *text;
}

std::optional<TokenId> Tokenizer::token_id(std::string_view token) const {
  TokenId id = parts_->added.find(token);
  if (id == kNoToken) id = parts_->model->vocabulary().find(token);
  if (id == kNoToken) return std::nullopt;
  return id;
}

bool Tokenizer::is_special(TokenId id) const {
  const auto* added = parts_->added.find(id);
  return added != nullptr && added->special;
}

std::optional<TokenId> Tokenizer::bos_id() const { return parts_->bos; }

std::optional<TokenId> Tokenizer::eos_id() const { return parts_->eos; }

bool Tokenizer::adds_bos() const {
  const auto& before = parts_->around.before;
  return parts_->bos && !before.empty() && before.front() == *parts_->bos;
}

}  // namespace mantissa
