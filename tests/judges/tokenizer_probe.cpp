// tokenizer_probe KIND FILE TEXTS OUT: tokenizes with a tokenizer.json (KIND
// json; a tokenizer_config.json beside it is read too) or a tokenizer.model
// (KIND spm). TEXTS is a JSON array of strings; OUT gets, for each, the ids
// without and with special tokens added, the ids with special tokens read as
// text, and what decode() and DecodeStream make of the first.
// tokenizer_probe speed FILE TEXT: prints tokens and the best seconds of five.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/text/decode_stream.h>
#include <mantissa/text/tokenizer.h>

namespace {

using namespace mantissa;
using Json = nlohmann::json;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Tokenizer open_tokenizer(const std::string& kind, const std::string& path) {
  if (kind == "spm") return read_sentencepiece_model(read(path));
  const std::string folder = path.substr(0, path.find_last_of('/') + 1);
  return read_tokenizer_json(read(path),
                             read(folder + "tokenizer_config.json"));
}

std::string streamed(const Tokenizer& tokenizer,
                     const std::vector<TokenId>& ids) {
  DecodeStream stream(tokenizer);
  std::string out;
  for (const TokenId id : ids) out += stream.push(id);
  return out + stream.finish();
}

int tokenize(const Tokenizer& tokenizer, const char* texts, const char* out) {
  Json answers = Json::array();
  for (const std::string text : Json::parse(read(texts))) {
    const auto ids = tokenizer.encode(text, {.add_special = false});
    answers.push_back(
        {{"ids", ids},
         {"special", tokenizer.encode(text)},
         {"plain",
          tokenizer.encode(text,
                           {.add_special = false, .parse_special = false})},
         {"decoded", tokenizer.decode(ids)},
         {"kept", tokenizer.decode(ids, {.skip_special = false})},
         {"streamed", streamed(tokenizer, ids)}});
  }
  std::ofstream(out) << Json{
      {"answers", answers},
      {"size", tokenizer.vocabulary_size()},
      {"bos", tokenizer.bos_id() ? Json(*tokenizer.bos_id()) : Json()},
      {"eos", tokenizer.eos_id() ? Json(*tokenizer.eos_id()) : Json()},
      {"adds_bos", tokenizer.adds_bos()}};
  return 0;
}

int measure(const Tokenizer& tokenizer, const char* path) {
  const std::string text = read(path);
  double best = 1e9;
  std::size_t count = 0;
  for (int run = 0; run < 5; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    count = tokenizer.encode(text).size();
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - begin;
    best = std::min(best, seconds.count());
  }
  fmt::print("{} {}\n", count, best);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string kind = argc > 1 ? argv[1] : "";
    if (kind == "speed" && argc == 4) {
      return measure(open_tokenizer("json", argv[2]), argv[3]);
    }
    if (argc == 5) {
      return tokenize(open_tokenizer(kind, argv[2]), argv[3], argv[4]);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fputs("usage: tokenizer_probe json|spm FILE TEXTS OUT\n", stderr);
  return 2;
}
