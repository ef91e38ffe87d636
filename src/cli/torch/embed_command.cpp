#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <mantissa/torch/sentence_encoder.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/torch/model_text.h"
#include "cli/torch/running.h"
#include "core/process_memory.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> sentences_of(const EmbedOptions& options) {
  std::vector<std::string> sentences = options.sentences;
  if (!options.file.empty()) {
    const auto lines = lines_of(read_words(options.file, kLargestText));
    sentences.insert(sentences.end(), lines.begin(), lines.end());
  }
  if (sentences.empty()) {
    throw Error(ErrorKind::Usage,
                "embed: nothing to embed; give sentences, or --file FILE");
  }
  return sentences;
}

// Token ids with the special ones around, cut to what the model takes. Special
// tokens in the sentence are read as such: sentence-transformers does, and
// vectors are to be compared with its own.
std::vector<std::int64_t> ids_of(const Tokenizer& tokenizer,
                                 const std::string& sentence,
                                 const SentenceConfig& config) {
  const std::int64_t most = config.max_length;
  std::vector<std::int64_t> ids = wide_ids(tokenizer.encode(
      config.prompt + sentence, {.add_special = true, .parse_special = true}));
  const auto size = static_cast<std::int64_t>(ids.size());
  if (most <= 0 || size <= most) return ids;
  print_error(
      fmt::format("{}: {} tokens, cut to the {} that the model was made for",
                  quoted_name(sentence),
                  size,
                  most));
  const std::int64_t last = ids.back();  // [SEP] stays
  ids.resize(static_cast<std::size_t>(most));
  ids.back() = last;
  return ids;
}

// Where sentences are to be put in lower case, the tokenizer must do it.
void require_case(const Tokenizer& tokenizer, const SentenceConfig& config) {
  if (!config.lower_case || tokenizer.encode("A") == tokenizer.encode("a")) {
    return;
  }
  throw Error(ErrorKind::Usage,
              "sentence_bert_config.json: do_lower_case with a tokenizer that "
              "tells A from a is not supported. Remedy: set it to false, and "
              "give sentences in lower case");
}

int run_embed(const EmbedOptions& options) {
  const std::vector<std::string> sentences = sentences_of(options);
  const auto source = open_checkpoint(options.model.model);
  const Tokenizer tokenizer = model_tokenizer(*source);
  const auto model =
      load_sentence_encoder(options.model.model, model_options(options.model));
  keep_free_memory();
  require_case(tokenizer, model->sentence());
  std::vector<std::vector<std::int64_t>> ids;
  for (const std::string& sentence : sentences) {
    ids.push_back(ids_of(tokenizer, sentence, model->sentence()));
  }
  const at::Tensor vectors = model->embed(ids, options.batch).contiguous();
  const auto width = static_cast<std::size_t>(vectors.size(1));
  const float* values = vectors.const_data_ptr<float>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::span<const float> row(values + i * width, width);
    if (!std::ranges::all_of(row, [](float v) { return std::isfinite(v); })) {
      throw_nonfinite(
          NonfiniteError(fmt::format(
              "embed: the vector of sentence {} is not finite", i + 1)),
          options.model,
          {&options.model.model, 1});
    }
    print_json(fmt::format("[{}]\n", fmt::join(row, ", ")));
  }
  return 0;
}

}  // namespace

void add_embed_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<EmbedOptions>();
  add_embed_words(app, *options).callback([options, &run] {
    run = [options] {
      return with_tool_errors([&] { return run_embed(*options); });
    };
  });
}

}  // namespace mantissa::cli
