#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/text/decode_stream.h>
#include <mantissa/torch/generation.h>

#include "checkpoint/input_file.h"
#include "cli/command.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/torch/chat.h"
#include "cli/torch/model_text.h"
#include "cli/torch/running.h"
#include "core/process_memory.h"
#include "torch/models/companion_files.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kLargestChat = 16'000'000;
constexpr std::int64_t kUsualContext = 2048;

std::string_view name(GenerationEnd end) {
  switch (end) {
    case GenerationEnd::StopToken:
      return "stop token";
    case GenerationEnd::MaxTokens:
      return "max tokens";
    case GenerationEnd::ContextFull:
      return "context full";
    case GenerationEnd::Interrupted:
      return "interrupted";
  }
  return "";
}

double per_second(std::int64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

// What a model says goes to a file as it is, and to a terminal without what
// would steer it.
void print_piece(const std::string& piece) {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  terminal ? print_text(piece) : print_json(piece);
  std::fflush(stdout);
}

ModelOptions loading_options(const GenerateOptions& options) {
  ModelOptions loading = model_options(options.model);
  loading.cache_dtype = cache_dtype(loading);
  loading.context = options.context;
  if (loading.context == 0) {
    const std::string& model = options.model.model;
    const auto source = open_checkpoint(model);
    loading.context =
        std::min(kUsualContext,
                 read_decoder_config(config_text(*source, model)).positions);
  }
  return loading;
}

// One model, its cache and what the cache holds.
class Session {
 public:
  explicit Session(const GenerateOptions& options)
      : options_(options),
        loading_(loading_options(options)),
        checkpoint_(options.model.model, loading_),
        tokenizer_(model_tokenizer(checkpoint_.source())),
        stops_(stop_tokens_of(checkpoint_.source())) {
    if (const auto eos = tokenizer_.eos_id()) stops_.push_back(*eos);
    // Refused before the weights are read.
    static_cast<void>(Sampler(generation_options().sampling));
    const std::int64_t positions = checkpoint_.config().positions;
    if (loading_.context <= positions) return;
    throw Error(ErrorKind::Usage,
                fmt::format("--context: {} is more than the {} positions that "
                            "the model was trained for",
                            loading_.context,
                            positions));
  }

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const CheckpointSource& source() const { return checkpoint_.source(); }

  // Refuses tokens that leave no room for an answer: said before the weights
  // are read, with the flag that helps.
  void require_room(const std::vector<std::int64_t>& tokens) const {
    if (std::ssize(tokens) < loading_.context) return;
    throw Error(
        ErrorKind::Usage,
        fmt::format("generate: the prompt has {} tokens; a context of {} "
                    "leaves no room for an answer. Use a shorter prompt{}",
                    tokens.size(),
                    loading_.context,
                    loading_.context < checkpoint_.config().positions
                        ? fmt::format(", or --context, which may be {} here",
                                      checkpoint_.config().positions)
                        : ""));
  }

  void load() {
    if (!options_.quiet && !options_.json) {
      print_note(weights_line(checkpoint_));
    }
    model_ = checkpoint_.load();
    keep_free_memory();
    cache_.emplace(
        model_->make_cache(1, loading_.context, loading_.cache_dtype));
  }

  // Answers to `tokens`; what of them the cache holds already is not computed
  // again. Returns the text.
  std::string answer(const std::vector<std::int64_t>& tokens) {
    const auto [held, asked] = std::ranges::mismatch(held_, tokens);
    const auto same =
        std::min<std::ptrdiff_t>(held - held_.begin(), std::ssize(tokens) - 1);
    cache_->truncate(std::max<std::ptrdiff_t>(same, 0));
    const auto begin = tokens.begin() + std::max<std::ptrdiff_t>(same, 0);
    DecodeStream stream(tokenizer_, {.skip_special = !options_.special});
    std::string text;
    const auto show = [&](const std::string& piece) {
      text += piece;
      if (!options_.json) print_piece(piece);
    };
    GenerationOptions how = generation_options();
    how.history.assign(tokens.begin(), begin);
    how.on_token = [&](std::int64_t token) {
      show(stream.push(static_cast<TokenId>(token)));
      return true;
    };
    last_ =
        with_finite_weights(options_.model, {&options_.model.model, 1}, [&] {
          return generate(
              *model_, *cache_, std::span(begin, tokens.end()), how);
        });
    show(stream.finish());
    held_ = tokens;
    held_.insert(held_.end(), last_.tokens.begin(), last_.tokens.end());
    held_.resize(
        std::min(held_.size(), static_cast<std::size_t>(cache_->length())));
    if (!options_.json) print_piece("\n");
    if (!options_.quiet && !options_.json) print_speed();
    return text;
  }

  Json result(const std::string& text) const {
    return {{"schema_version", 1},
            {"model", options_.model.model},
            {"compute_dtype", options_.model.compute_dtype},
            {"quantized_weights", weights_json(checkpoint_)},
            {"text", text},
            {"tokens", last_.tokens},
            {"end", name(last_.end)},
            {"prompt_tokens", last_.prompt_tokens},
            {"prompt_tokens_per_second",
             per_second(last_.prompt_tokens, last_.prompt_seconds)},
            {"decode_tokens_per_second",
             per_second(last_.decode_steps, last_.decode_seconds)},
            {"kv_cache_dtype", cache_name(cache_->dtype())},
            {"kv_cache_bytes", cache_->nbytes()}};
  }

  bool stopped() const { return last_.end == GenerationEnd::Interrupted; }

 private:
  GenerationOptions generation_options() const {
    GenerationOptions how;
    how.sampling.temperature = options_.temperature;
    how.sampling.top_k = options_.top_k;
    how.sampling.top_p = options_.top_p;
    how.sampling.min_p = options_.min_p;
    how.sampling.repetition_penalty = options_.repetition_penalty;
    how.sampling.seed = options_.seed;
    how.max_new_tokens = options_.max_tokens;
    how.stop_tokens = stops_;
    how.interrupted = interrupted;
    how.vocabulary = tokenizer_.vocabulary_size();
    return how;
  }

  void print_speed() const {
    print_note(fmt::format(
        "prompt {} tokens at {:.1f} tok/s, {} new at {:.1f} tok/s ({}), "
        "computed in {}; KV cache {:.1f} MB ({}) for {} positions, {} used\n",
        last_.prompt_tokens,
        per_second(last_.prompt_tokens, last_.prompt_seconds),
        last_.tokens.size(),
        per_second(last_.decode_steps, last_.decode_seconds),
        name(last_.end),
        options_.model.compute_dtype,
        static_cast<double>(cache_->nbytes()) / 1e6,
        cache_name(cache_->dtype()),
        cache_->capacity(),
        cache_->length()));
  }

  const GenerateOptions& options_;
  ModelOptions loading_;
  DecoderCheckpoint checkpoint_;
  Tokenizer tokenizer_;
  std::vector<std::int64_t> stops_;
  std::shared_ptr<Decoder> model_;
  std::optional<KvCache> cache_;
  std::vector<std::int64_t> held_;  // tokens of the cache
  Generation last_;
};

// A file, or stdin for "-"; Ctrl-C while it is waited for ends the program.
std::string read_input(const std::string& path) {
  release_signals();
  std::string text = read_words(path, kLargestChat);
  catch_signals();
  return text;
}

int finish(const GenerateOptions& options,
           const Session& session,
           const std::string& text) {
  if (options.json) print_json(json_text(session.result(text)));
  return session.stopped() ? 128 + stop_signal() : 0;
}

int run_prompt(const GenerateOptions& options, Session& session) {
  std::string prompt = options.prompt;
  if (prompt.empty()) {
    if (::isatty(STDIN_FILENO) == 1) {
      print_note("the prompt (Ctrl-D ends it):\n");
    }
    prompt = read_input("-");
  }
  const auto tokens = wide_ids(session.tokenizer().encode(
      prompt, {.add_special = true, .parse_special = options.special}));
  if (tokens.empty()) {
    throw Error(ErrorKind::Usage,
                "generate: the prompt is empty; give --prompt TEXT or stdin");
  }
  session.require_room(tokens);
  session.load();
  return finish(options, session, session.answer(tokens));
}

// Turns from stdin, one a line, until it ends or Ctrl-C.
int run_dialogue(const GenerateOptions& options, Session& session, Chat& chat) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  std::string line;
  while (!interrupted()) {
    if (terminal) print_note("> ");
    release_signals();  // Ctrl-C while nothing runs ends the program
    if (!std::getline(std::cin, line)) break;
    catch_signals();
    if (line.empty()) continue;
    chat.add("user", line);
    const std::string text = session.answer(chat.tokens());
    chat.add("assistant", text);
    if (options.json) print_json(session.result(text).dump() + "\n");
  }
  return interrupted() ? 128 + stop_signal() : 0;
}

int run_chat(const GenerateOptions& options, Session& session) {
  const std::string text = options.chat_template.empty()
                               ? model_chat_template(session.source())
                               : read_text(options.chat_template, kLargestChat);
  Chat chat(text, session.tokenizer(), options.date);
  if (!options.system.empty()) chat.add("system", options.system);
  if (!options.messages.empty()) {
    chat.add_all(read_input(options.messages), options.messages);
  }
  if (!options.prompt.empty()) chat.add("user", options.prompt);
  const bool asked = !options.prompt.empty() || !options.messages.empty();
  std::vector<std::int64_t> tokens;
  if (asked) {  // refused before the weights are read
    tokens = chat.tokens();
    session.require_room(tokens);
  }
  session.load();
  if (!asked) return run_dialogue(options, session, chat);
  return finish(options, session, session.answer(tokens));
}

int run_generate(const GenerateOptions& options) {
  const bool chat = options.chat || !options.messages.empty() ||
                    !options.chat_template.empty();
  if (!chat && !options.system.empty()) {
    throw Error(ErrorKind::Usage,
                "--system: a system prompt belongs to a chat; add --chat");
  }
  catch_signals();
  Session session(options);
  return chat ? run_chat(options, session) : run_prompt(options, session);
}

}  // namespace

void add_generate_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<GenerateOptions>();
  add_generate_words(app, *options).callback([options, &run] {
    run = [options] {
      return with_tool_errors([&] { return run_generate(*options); });
    };
  });
}

}  // namespace mantissa::cli
