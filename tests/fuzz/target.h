#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mantissa::fuzz {

/// What a reader made of an input.
enum class Outcome { Accepted, Refused };

/// An input that a target begins with, and what becomes of it.
struct Seed {
  std::string name;
  std::string bytes;
  Outcome outcome = Outcome::Refused;
};

/// A promise that an input broke. Nothing catches it: for libFuzzer it is a
/// crash, for a test a failure.
class Broken : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws Broken that says what was promised.
inline void expect(bool kept, const char* promise) {
  if (!kept) throw Broken(promise);
}

// Each reads one input from outside, as the tool does, and checks what the
// reader promises: an error of ours with the exit code of malformed input, or
// a value that means the same when it is written and read again.

/// A safetensors file: the bytes as they are, and as a header whose length is
/// right, followed by as many zeros as the last two bytes say.
Outcome safetensors_header(std::string_view input);
/// model.safetensors.index.json.
Outcome safetensors_index(std::string_view input);
/// A GGUF file; or, after a line "tokenizer", the keys of its tokenizer as
/// lines of text.
Outcome gguf(std::string_view input);
/// A model's config.json, torchao's JSON, words of a config, and rules.
Outcome config(std::string_view input);
/// .journal.jsonl, whole or without its first line.
Outcome journal(std::string_view input);
/// mantissa_manifest.json.
Outcome manifest(std::string_view input);
/// torchao's packed weights behind n, k, group_size and tables as int64.
Outcome packed_weights(std::string_view input);
/// tokenizer.json; behind a zero byte, the tokenizer_config.json beside it. It
/// encodes a short text and decodes tokens.
Outcome tokenizer_json(std::string_view input);
/// A SentencePiece tokenizer.model, used in the same way.
Outcome tokenizer_model(std::string_view input);
/// A chat template; it writes two short conversations.
Outcome chat_template(std::string_view input);

/// One target and its seeds: every class of input that its reader refuses, and
/// some that it accepts.
struct Target {
  std::string name;
  Outcome (*run)(std::string_view input);
  std::vector<Seed> (*seeds)();
};

// Seeds of the readers of texts (text_seeds.cpp).
std::vector<Seed> tokenizer_json_seeds();
std::vector<Seed> tokenizer_model_seeds();
std::vector<Seed> chat_template_seeds();

// Seeds of packed weights (packed_seeds.cpp).
std::vector<Seed> packed_weights_seeds();

/// All targets.
const std::vector<Target>& targets();

}  // namespace mantissa::fuzz
