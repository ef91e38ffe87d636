#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/torch/perplexity.h>

#include "checkpoint/input_file.h"
#include "cli/command.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/torch/model_text.h"
#include "cli/torch/running.h"
#include "core/process_memory.h"
#include "core/stopwatch.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string result_json(const EvalOptions& options,
                        const DecoderCheckpoint& checkpoint,
                        const PerplexityResult& result,
                        double seconds) {
  Json out = {{"schema_version", 1},
              {"model", options.model.model},
              {"text", options.text},
              {"compute_dtype", options.model.compute_dtype},
              {"quantized_weights", weights_json(checkpoint)},
              {"kv_cache_dtype",
               options.model.kv_cache_dtype.empty()
                   ? Json(nullptr)
                   : Json(options.model.kv_cache_dtype)},
              {"threads", options.model.threads},
              {"context", options.context},
              {"windows", result.windows},
              {"scored", options.full ? "full" : "second half"},
              {"perplexity", result.perplexity},
              {"nll", result.nll},
              {"standard_error", result.standard_error},
              {"tokens_scored", result.tokens_scored},
              {"asked_windows", result.asked_windows},
              {"interrupted", result.interrupted},
              {"seconds", seconds}};
  if (!options.reference.empty()) {
    out["reference"] = options.reference;
    out["kl_divergence"] = number_or_null(result.kl_divergence);
    out["top1_agreement"] = number_or_null(result.top1_agreement);
  }
  return json_text(out);
}

std::string result_text(const EvalOptions& options,
                        const PerplexityResult& result,
                        double seconds) {
  std::string text = result.interrupted
                         ? fmt::format("interrupted after {} of {} windows: ",
                                       result.windows,
                                       result.asked_windows)
                         : "";
  text += fmt::format(
      "perplexity {:.4f} +/- {:.4f} ({} tokens scored in {} windows of {}, "
      "{}{}) in {:.1f} s, {:.0f} tok/s\n",
      result.perplexity,
      result.perplexity * result.standard_error,
      result.tokens_scored,
      result.windows,
      options.context,
      options.model.compute_dtype,
      options.model.kv_cache_dtype.empty()
          ? ""
          : ", cache in " + options.model.kv_cache_dtype,
      seconds,
      static_cast<double>(result.windows * options.context) / seconds);
  if (result.kl_divergence && result.top1_agreement) {
    text += fmt::format(
        "against {}: KL divergence {:.5f} nats, same best token {:.2f} %\n",
        options.reference,
        *result.kl_divergence,
        100 * *result.top1_agreement);
  }
  return text;
}

// It is asked for whole windows.
std::optional<DecoderCheckpoint> open_reference(const EvalOptions& options,
                                                ModelOptions loading) {
  if (options.reference.empty()) return std::nullopt;
  loading.cache_dtype.reset();
  loading.cached = false;
  return DecoderCheckpoint(options.reference, loading);
}

int run_eval(const EvalOptions& options) {
  ModelOptions loading = model_options(options.model);
  // Without a cache windows are whole.
  loading.cached = loading.cache_dtype.has_value();
  loading.context = options.context;
  loading.pass_tokens = options.context;
  loading.batch = options.windows > 0 ? std::min(options.batch, options.windows)
                                      : options.batch;
  const std::string text = read_words(options.text, kLargestText);
  const DecoderCheckpoint checkpoint(options.model.model, loading);
  const Tokenizer tokenizer = model_tokenizer(checkpoint.source());
  // As llama.cpp: BOS begins the text and then every window.
  const auto tokens = wide_ids(tokenizer.encode(
      text, {.add_special = tokenizer.adds_bos(), .parse_special = false}));
  const auto beside = open_reference(options, loading);
  if (beside) {
    checkpoint.plan().beside(beside->plan()).require(loading.max_memory);
  }
  PerplexityOptions how;
  how.context = options.context;
  how.windows = options.windows;
  how.batch = options.batch;
  how.cache_dtype = loading.cache_dtype;
  how.scored = options.full ? ScoredTokens::Full : ScoredTokens::SecondHalf;
  check_perplexity(checkpoint.config(),
                   std::ssize(tokens),
                   how,
                   beside ? &beside->config() : nullptr);
  catch_signals();
  if (!options.quiet) print_note(weights_line(checkpoint));
  const std::shared_ptr<Decoder> model = checkpoint.load();
  const std::shared_ptr<Decoder> reference = beside ? beside->load() : nullptr;
  keep_free_memory();
  if (tokenizer.adds_bos()) how.bos = tokenizer.bos_id();
  how.interrupted = interrupted;
  const auto start = Clock::now();
  auto shown = start;
  how.progress = [&](std::int64_t done, std::int64_t all, double perplexity) {
    if (options.quiet || (done < all && seconds_since(shown) < 10)) return;
    shown = Clock::now();
    print_note(
        fmt::format("[{}/{}] perplexity {:.4f}, {:.0f} s left\n",
                    done,
                    all,
                    perplexity,
                    seconds_since(start) * static_cast<double>(all - done) /
                        static_cast<double>(done)));
  };
  std::vector<std::string> models{options.model.model};
  if (beside) models.push_back(options.reference);
  const PerplexityResult result =
      with_finite_weights(options.model, models, [&] {
        return perplexity(*model, tokens, how, reference.get());
      });
  const double seconds = seconds_since(start);
  options.json ? print_json(result_json(options, checkpoint, result, seconds))
               : print_text(result_text(options, result, seconds));
  return result.interrupted ? 128 + stop_signal() : 0;
}

}  // namespace

void add_eval_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<EvalOptions>();
  add_eval_words(app, *options).callback([options, &run] {
    run = [options] {
      return with_tool_errors([&] { return run_eval(*options); });
    };
  });
}

}  // namespace mantissa::cli
