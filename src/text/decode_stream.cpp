#include <mantissa/text/decode_stream.h>

#include <utility>

namespace mantissa {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// A character has 4 bytes, a byte token at least one; more tokens than this
// that end in U+FFFD are no character that is still coming.
constexpr std::size_t kMaxHeld = 8;

}  // namespace

DecodeStream::DecodeStream(Tokenizer tokenizer, DecodeOptions options)
    : tokenizer_(std::move(tokenizer)), options_(options) {}

// Spaces and bytes depend on the tokens before, so a few stay as context.
std::string DecodeStream::push(TokenId id) {
  ids_.push_back(id);
  const std::string text = tokenizer_.decode(ids_, options_);
  const bool waits =
      text.ends_with(kReplacement) && ids_.size() - shown_ < kMaxHeld;
  if (waits || text.size() <= context_.size()) return "";
  return take(text);
}

std::string DecodeStream::finish() {
  const std::string text = tokenizer_.decode(ids_, options_);
  if (text.size() <= context_.size()) return "";
  return take(text);
}

std::string DecodeStream::take(std::string_view text) {
  std::string fresh(text.substr(context_.size()));
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(shown_));
  shown_ = ids_.size();
  context_ = tokenizer_.decode(ids_, options_);
  return fresh;
}

}  // namespace mantissa
