#include "cli/model_options.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

#include <CLI/CLI.hpp>

#include <mantissa/core/worker_pool.h>

#include "cli/brackets.h"
#include "cli/number_options.h"

namespace mantissa::cli {
namespace {

constexpr std::int64_t kMostPositions = 1 << 24;
constexpr double kMostTemperature = 100;

// What other programs on OpenMP take: the first number of OMP_NUM_THREADS.
int default_threads() {
  const char* variable = std::getenv("OMP_NUM_THREADS");
  const std::string_view words = variable == nullptr ? "" : variable;
  int threads = 0;
  std::from_chars(words.data(), words.data() + words.size(), threads);
  return threads >= 1 && threads <= kMostWorkers ? threads : default_workers();
}

void add_loading_words(CLI::App& command, ModelWords& words) {
  command
      .add_option("MODEL",
                  words.model,
                  "A model directory, a .safetensors or a .gguf file")
      ->required();
  command
      .add_option("--compute-dtype",
                  words.compute_dtype,
                  "Dtype of the activations, with which the codes of quantized "
                  "weights are multiplied, or to which they decode; int8-...: "
                  "codes are multiplied by int8 activations, a scale each "
                  "token or each 32 or 64 values, all else is float32. Weights "
                  "whose config names quantized activations take those")
      ->check(CLI::IsMember({"float32",
                             "bfloat16",
                             "float16",
                             "int8-token",
                             "int8-g32",
                             "int8-g64"}))
      ->capture_default_str();
  command.add_option("--max-memory",
                     words.max_memory,
                     "Refuse a model that needs more, such as 8GB (exit 7)");
}

void add_model_words(CLI::App& command, ModelWords& words) {
  add_loading_words(command, words);
  words.threads = default_threads();
  expect_workers(
      *command.add_option("-j,--threads",
                          words.threads,
                          "Threads that compute (default: OMP_NUM_THREADS, "
                          "else all processors)"));
}

void add_cache_word(CLI::App& command,
                    ModelWords& words,
                    const std::string& meaning) {
  command.add_option("--kv-cache-dtype", words.kv_cache_dtype, meaning)
      ->check(CLI::IsMember({"float32", "bfloat16", "float16", "int8"}));
}

constexpr const char* kCacheDtype =
    "Dtype of the key-value cache; int8: a scale for each head and position "
    "(default: bfloat16, or float16 with activations in float16)";

void add_sampling_words(CLI::App& command, GenerateOptions& options) {
  expect_number(*command
                     .add_option("--temperature",
                                 options.temperature,
                                 "0: always the most likely token")
                     ->capture_default_str(),
                0,
                kMostTemperature);
  expect_integer(
      *command.add_option(
          "--top-k", options.top_k, "Draw from the K best tokens (0: all)"),
      0,
      kMostPositions);
  expect_number(
      *command.add_option("--top-p",
                          options.top_p,
                          "Draw from the fewest tokens that reach P together"),
      0,
      1);
  expect_number(
      *command.add_option("--min-p",
                          options.min_p,
                          "Draw from tokens of at least P times the best one"),
      0,
      1);
  expect_number(*command.add_option("--repetition-penalty",
                                    options.repetition_penalty,
                                    "Divide the logits of tokens seen"),
                0.01,
                100);
  expect_integer(
      *command.add_option(
          "--seed", options.seed, "Of the random numbers; a run repeats"),
      0,
      std::numeric_limits<std::int64_t>::max());
}

}  // namespace

CLI::App& add_eval_words(CLI::App& app, EvalOptions& options) {
  CLI::App& command = *app.add_subcommand(
      "eval", "Perplexity of a model on a text, and KL to a reference");
  add_model_words(command, options.model);
  add_cache_word(command,
                 options.model,
                 "Attend to keys and values as a cache of this dtype holds "
                 "them (default: no cache)");
  command.add_option("--text", options.text, "A text file in UTF-8; -: stdin")
      ->required();
  command.add_option("--reference",
                     options.reference,
                     "Another model of the same vocabulary: print the KL "
                     "divergence from it and how often the best tokens agree");
  expect_integer(
      *command.add_option("--context", options.context, "Tokens of a window")
           ->capture_default_str(),
      2,
      kMostPositions);
  expect_integer(
      *command.add_option(
          "--windows", options.windows, "The first N windows only (0: all)"),
      0,
      std::numeric_limits<std::int64_t>::max());
  expect_integer(
      *command.add_option("--batch", options.batch, "Windows in one pass")
           ->capture_default_str(),
      1,
      1024);
  command.add_flag("--full",
                   options.full,
                   "Score every token of a window, not its second half");
  command.add_flag("--json", options.json, "Machine-readable output");
  command.add_flag("-q,--quiet", options.quiet, "No progress");
  return command;
}

CLI::App& add_generate_words(CLI::App& app, GenerateOptions& options) {
  CLI::App& command =
      *app.add_subcommand("generate", "Continue a prompt, or chat");
  options.model.compute_dtype = "int8-g32";
  add_model_words(command, options.model);
  add_cache_word(command, options.model, kCacheDtype);
  command.add_option(
      "--prompt", options.prompt, "The text to continue, or the first turn");
  command.add_flag("--chat",
                   options.chat,
                   "Answer through the model's chat template; without --prompt "
                   "and --messages a line of stdin is a turn");
  command.add_option("--system", options.system, "The system prompt of a chat");
  command.add_option("--messages",
                     options.messages,
                     "A JSON file with a list of {role, content}: a chat; "
                     "-: stdin");
  command.add_option(
      "--chat-template", options.chat_template, "A Jinja file in its place");
  command.add_option("--date",
                     options.date,
                     "The date that a chat template may ask for: 2026-11-27");
  command.add_flag(
      "--special", options.special, "Read special tokens in --prompt as such");
  expect_integer(
      *command.add_option("--max-tokens", options.max_tokens, "Of the answer")
           ->capture_default_str(),
      1,
      kMostPositions);
  expect_integer(*command.add_option(
                     "--context",
                     options.context,
                     "Positions of the key-value cache (default: 2048, or what "
                     "the model was trained for, if that is less)"),
                 2,
                 kMostPositions);
  add_sampling_words(command, options);
  command.add_flag("--json", options.json, "Machine-readable, at the end");
  command.add_flag("-q,--quiet", options.quiet, "The answer alone");
  return command;
}

CLI::App& add_embed_words(CLI::App& app, EmbedOptions& options) {
  CLI::App& command = *app.add_subcommand(
      "embed", "Vectors of sentences by a BERT-type model, a JSON list each");
  add_model_words(command, options.model);
  command.add_option(
      "SENTENCE",
      options.sentences,
      "Sentences, read as sentence-transformers does: special tokens in them, "
      "such as [MASK], are tokens, and the model's default prompt goes before");
  command.add_option(
      "--file", options.file, "A text file with a sentence a line; -: stdin");
  for (CLI::Option* option : command.get_options()) {
    if (option->get_type_size() == 1) option->transform(unguarded);
  }
  expect_integer(
      *command.add_option("--batch", options.batch, "Sentences in one pass")
           ->capture_default_str(),
      1,
      4096);
  return command;
}

CLI::App& add_bench_model_words(CLI::App& app, BenchModelOptions& options) {
  CLI::App& bench = *app.add_subcommand("bench", "Measure speed here");
  bench.require_subcommand(1);
  CLI::App& command = *bench.add_subcommand(
      "model", "Tokens a second of a model, as llama-bench counts them");
  options.model.compute_dtype = "int8-g32";
  add_loading_words(command, options.model);
  add_cache_word(command, options.model, kCacheDtype);
  expect_workers(*command
                      .add_option("-j,--threads",
                                  options.threads,
                                  "Threads that compute, each number a row "
                                  "(default: 1 and all processors)")
                      ->delimiter(',')
                      ->allow_extra_args(false));
  expect_integer(*command
                      .add_option("--prompt-tokens",
                                  options.prompt_tokens,
                                  "Random tokens read in one go")
                      ->capture_default_str(),
                 1,
                 kMostPositions);
  expect_integer(*command
                      .add_option("--decode-tokens",
                                  options.decode_tokens,
                                  "Random tokens read one by one")
                      ->capture_default_str(),
                 1,
                 kMostPositions);
  expect_integer(*command
                      .add_option("--depths",
                                  options.depths,
                                  "Positions that are filled before decoding, "
                                  "each number a row")
                      ->delimiter(',')
                      ->allow_extra_args(false)
                      ->capture_default_str(),
                 0,
                 kMostPositions);
  expect_integer(*command
                      .add_option("--repetitions",
                                  options.repetitions,
                                  "Of each measurement; the median counts")
                      ->capture_default_str(),
                 1,
                 1000);
  command.add_flag("--json", options.json, "Machine-readable output");
  return command;
}

}  // namespace mantissa::cli
