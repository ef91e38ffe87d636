#include <algorithm>
#include <cstddef>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/text/decode_stream.h>
#include <mantissa/text/tokenizer.h>

#include "core/utf8.h"
#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

// Letters with and without accents, spaces, digits, marks, Chinese, and what
// special tokens look like.
constexpr std::string_view kText =
    " The  cat\xe2\x80\x99s 123 caf\xc3\xa9 e\xcc\x81 \xe4\xbd\xa0\xe5\xa5\xbd"
    "\n\t<s>[CLS]<|end|> aaaaaaaaaaaaaaaaaaaaaaaa";
// The first tokens, and the last.
constexpr TokenId kDecoded = 24;

void decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  for (const bool skip : {true, false}) {
    expect(is_utf8(tokenizer.decode(ids, {.skip_special = skip})),
           "decoded text is UTF-8");
  }
  DecodeStream stream(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) streamed += stream.push(id);
  expect(is_utf8(streamed + stream.finish()), "streamed text is UTF-8");
}

void use(const Tokenizer& tokenizer) {
  const auto size = static_cast<TokenId>(tokenizer.vocabulary_size());
  for (const bool special : {true, false}) {
    const auto ids = tokenizer.encode(
        kText, {.add_special = special, .parse_special = special});
    expect(std::ranges::all_of(
               ids, [&](TokenId id) { return id >= 0 && id < size; }),
           "ids are those of the vocabulary");
    decode(tokenizer, ids);
  }
  std::vector<TokenId> some;
  for (TokenId id = 0; id < std::min(size, kDecoded); ++id) {
    some.push_back(id);
    some.push_back(size - 1 - id);
  }
  decode(tokenizer, some);
  for (const TokenId id : some) {
    const auto text = tokenizer.token_text(id);
    if (text) expect(is_utf8(*text), "tokens are UTF-8");
  }
  for (const auto id : {tokenizer.bos_id(), tokenizer.eos_id()}) {
    if (id) expect(*id >= 0 && *id < size, "BOS and EOS are tokens");
  }
}

template <class Read>
Outcome read_and_use(const Read& read) {
  try {
    use(read());
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input || error.kind() == ErrorKind::Usage,
           "what is wrong with a tokenizer is Input or Usage");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace

Outcome tokenizer_json(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string_view config = input.substr(std::min(end + 1, input.size()));
  return read_and_use(
      [&] { return read_tokenizer_json(input.substr(0, end), config); });
}

Outcome tokenizer_model(std::string_view input) {
  return read_and_use([&] { return read_sentencepiece_model(input); });
}

}  // namespace mantissa::fuzz
