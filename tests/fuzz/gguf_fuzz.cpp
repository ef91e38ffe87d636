#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_stored_source.h"
#include "checkpoint/gguf_tokenizer.h"
#include "checkpoint/open_gguf.h"
#include "core/utf8.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"
#include "fuzz/use_source.h"

namespace mantissa::fuzz {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kModel = "tokenizer.ggml.model";
constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kTokenizerLine = "tokenizer\n";

void check_extents(const GgufFile& file) {
  std::int64_t end = file.head_bytes();
  for (const GgufTensor& tensor : file.tensors()) {
    expect(tensor.offset >= end, "tensors lie one after the other");
    expect(tensor.bytes >= 0, "no negative size");
    expect(tensor.offset <= file.file().size() - tensor.bytes,
           "a tensor ends inside the file");
    end = tensor.offset + tensor.bytes;
  }
}

void read_first_rows(const CheckpointSource& source) {
  const auto& tensors = source.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Shape& shape = tensors[i].shape;
    if (numel(shape) == 0) continue;
    const Shape row = shape.empty() ? shape : Shape{shape.back()};
    std::vector<std::byte> out(
        static_cast<std::size_t>(byte_count(tensors[i].dtype, row)));
    source.read_rows(i, 0, 1, out);
  }
}

std::vector<std::string> strings(const GgufMetadata& metadata,
                                 std::string_view key) {
  const auto* found = metadata.strings(key);
  return found == nullptr ? std::vector<std::string>{} : *found;
}

// Merges that follow from scores make tokens of tokens.
void check_merges(const Json& merges, const Json& vocabulary) {
  for (const Json& merge : merges) {
    std::string text = merge;
    const std::size_t space = text.find(' ');
    expect(vocabulary.contains(text.substr(0, space)) &&
               vocabulary.contains(text.substr(space + 1)) &&
               vocabulary.contains(text.erase(space, 1)),
           "a merge is of tokens");
  }
}

// The two files hold the tokens, types and merges that the keys hold.
void check_tokenizer(const GgufMetadata& metadata,
                     const std::string& tokenizer_text,
                     const std::string& config_text) {
  const Json tokenizer = Json::parse(tokenizer_text);
  const auto tokens = strings(metadata, kTokens);
  const Json& vocabulary = tokenizer.at("model").at("vocab");
  expect(vocabulary.size() == tokens.size(), "every token has an id");
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    expect(vocabulary.at(tokens[i]) == i, "ids are those of the file");
  }
  const bool scores = *metadata.string(kModel) == "llama";
  if (scores) {
    check_merges(tokenizer["model"]["merges"], vocabulary);
  } else {
    expect(tokenizer["model"]["merges"] == Json(strings(metadata, kMerges)),
           "merges are those of the file");
  }
  for (const Json& added : tokenizer.at("added_tokens")) {
    const auto id = added.at("id").get<std::size_t>();
    const std::int64_t type = (*metadata.integers(kTypes))[id];
    expect(added.at("content") == tokens[id], "added tokens are tokens");
    expect(added.at("special") == (type == 3 || (scores && type == 2)),
           "special tokens are control");
  }
  expect(Json::parse(config_text).contains("tokenizer_class"),
         "tokenizer_config.json names the class");
}

std::string text_of(const CheckpointSource& source, std::string_view name) {
  const auto companions = source.companions();
  const auto found = std::ranges::find(companions, name, &Companion::name);
  expect(found != companions.end(), "a GGUF source makes its companions");
  return found->text;
}

void check_model(const GgufFile& file, const CheckpointSource& source) {
  parse_config_object(source.config_json(), "made from a GGUF file");
  expect(Json::accept(text_of(source, "generation_config.json")),
         "generation_config.json is JSON");
  check_tokenizer(file.metadata(),
                  text_of(source, "tokenizer.json"),
                  text_of(source, "tokenizer_config.json"));
  read_first_rows(source);
  use_source(source);
}

void read_file(std::string_view input) {
  const MemoryFile memory(input);
  const GgufFile file(memory.path());
  check_extents(file);
  try {
    check_model(file, *open_gguf_model(memory.path(), {}));
  } catch (const Error& error) {
    // What is no model of ours can be looked at.
    const auto stored = open_gguf_stored(memory.path(), error.what());
    read_first_rows(*stored);
    use_source(*stored);
    throw;
  }
}

// The keys of a tokenizer as lines: "pre smollm", "bos 3" (also eos, pad, unk,
// eot), "add_bos" (also add_eos), "scores" (model llama, whose scores fall with
// the id), "template TEXT", "template.NAME TEXT", "t3
// TOKEN" with the type in front, "merge A B". "\n" in a text is a line feed.
class TokenizerLines {
 public:
  explicit TokenizerLines(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      add_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    metadata_.add(std::string(kModel), std::string(scores_ ? "llama" : "gpt2"));
    if (scores_) {
      std::vector<double> scores;
      for (std::size_t i = 0; i < tokens_.size(); ++i) {
        scores.push_back(-static_cast<double>(i));
      }
      metadata_.add("tokenizer.ggml.scores", scores);
    }
    metadata_.add(std::string(kTokens), tokens_);
    if (typed_) metadata_.add(std::string(kTypes), types_);
    metadata_.add(std::string(kMerges), merges_);
  }

  const GgufMetadata& metadata() const { return metadata_; }
  std::int64_t tokens() const {
    return static_cast<std::int64_t>(tokens_.size());
  }

 private:
  void add_line(std::string_view line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string word(line.substr(0, space));
    const std::string rest(line.substr(std::min(space + 1, line.size())));
    const std::string key = "tokenizer.ggml." + word;
    if (!is_printable_utf8(key)) return;  // no reader lets such a key through
    if (word == "scores") {
      scores_ = true;
    } else if (word == "pre") {
      metadata_.add(key, rest);
    } else if (word == "merge") {
      merges_.push_back(rest);
    } else if (word == "add_bos" || word == "add_eos") {
      metadata_.add(key + "_token", rest != "0");
    } else if (word.starts_with("template")) {
      metadata_.add("tokenizer.chat_" + word, rest);
    } else if (word.size() == 2 && word[0] == 't') {
      typed_ = typed_ || word[1] != '-';
      types_.push_back(word[1] - '0');
      tokens_.push_back(rest);
    } else {
      add_id(word, rest);
    }
  }

  void add_id(const std::string& word, const std::string& rest) {
    for (const std::string name :
         {"bos", "eos", "padding", "unknown", "eot", "eom"}) {
      if (word != name) continue;
      metadata_.add(
          "tokenizer.ggml." + name + "_token_id",
          std::uint64_t{
              rest.empty() ? 0U : static_cast<unsigned char>(rest[0] - '0')});
    }
  }

  GgufMetadata metadata_;
  std::vector<std::string> tokens_;
  std::vector<std::int64_t> types_;
  std::vector<std::string> merges_;
  bool typed_ = false;
  bool scores_ = false;
};

void read_lines(std::string_view text) {
  const TokenizerLines lines(text);
  const SpecialTokens special =
      read_special_tokens(lines.metadata(), lines.tokens());
  const GgufTokenizer files =
      read_tokenizer(lines.metadata(), special, lines.tokens(), 128);
  check_tokenizer(
      lines.metadata(), files.tokenizer_json, files.tokenizer_config_json);
  expect(Json::accept(generation_config_json(special)),
         "generation_config.json is JSON");
}

}  // namespace

Outcome gguf(std::string_view input) {
  try {
    if (input.starts_with(kTokenizerLine)) {
      read_lines(input.substr(kTokenizerLine.size()));
    } else {
      read_file(input);
    }
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Input || error.kind() == ErrorKind::Usage,
           "what is wrong with a GGUF file is Input or Usage");
    return Outcome::Refused;
  }
  return Outcome::Accepted;
}

}  // namespace mantissa::fuzz
