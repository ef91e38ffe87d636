#include <mantissa/text/decode_stream.h>

#include <utility>

#include "core/utf8.h"

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
  return waits ? "" : take(text);
}

std::string DecodeStream::finish() {
  return take(tokenizer_.decode(ids_, options_));
}

// What a byte token makes of the text may change what is out already: then
// what is new begins after as many characters.
std::string DecodeStream::take(std::string_view text) {
  std::string_view fresh = text;
  if (text.starts_with(context_)) {
    fresh.remove_prefix(context_.size());
  } else {
    for (std::string_view out = context_; !out.empty() && !fresh.empty();) {
      out.remove_prefix(utf8_sequence(out));
      fresh.remove_prefix(utf8_sequence(fresh));
    }
  }
  if (fresh.empty()) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(shown_));
  shown_ = ids_.size();
  std::string out(fresh);
  context_ = tokenizer_.decode(ids_, options_);
  return out;
}

}  // namespace mantissa
