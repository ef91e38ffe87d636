#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/core/worker_pool.h>

#include "cli/command.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/torch/running.h"
#include "core/process_memory.h"
#include "core/stopwatch.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kBlock = 512;  // positions that are filled in one go

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

// Decoding behind `depth` positions.
struct Decoding {
  std::int64_t depth = 0;
  std::vector<double> samples;  // tok/s
};

struct Row {
  int threads = 1;

  std::vector<double> prompt;  // tok/s
  std::vector<Decoding> decodings;
};

class Bench {
 public:
  explicit Bench(const BenchModelOptions& options)
      : options_(options),
        loading_(loading_options(options)),
        checkpoint_(options.model.model, loading_) {
    const std::int64_t positions = checkpoint_.config().positions;
    if (loading_.context > positions) {
      throw Error(ErrorKind::Usage,
                  fmt::format("bench model: {} positions are asked for "
                              "(--prompt-tokens, or --depths and "
                              "--decode-tokens), the model was trained for {}",
                              loading_.context,
                              positions));
    }
    const auto start = Clock::now();
    model_ = checkpoint_.load();
    keep_free_memory();
    load_seconds_ = seconds_since(start);
    cache_ = std::make_unique<KvCache>(
        model_->make_cache(1, loading_.context, loading_.cache_dtype));
  }

  double load_seconds() const { return load_seconds_; }
  const DecoderCheckpoint& checkpoint() const { return checkpoint_; }
  const KvCache& cache() const { return *cache_; }
  // Of the first prompt, nothing warm.
  double first_token_seconds() {
    at::set_num_threads(options_.threads.front());
    const c10::InferenceMode inference;
    const double seconds = read(options_.prompt_tokens);
    require_finite();
    return seconds;
  }

  Row run(int threads) {
    at::set_num_threads(threads);
    const c10::InferenceMode inference;
    Row row;
    row.threads = threads;

    for (std::int64_t i = 0; i < options_.repetitions && !interrupted(); ++i) {
      row.prompt.push_back(
          rate(options_.prompt_tokens, read(options_.prompt_tokens)));
    }
    for (const std::int64_t depth : options_.depths) {
      Decoding& decoding = row.decodings.emplace_back();
      decoding.depth = depth;
      for (std::int64_t i = 0; i < options_.repetitions && !interrupted();
           ++i) {
        cache_->truncate(0);
        for (std::int64_t filled = 0; filled < depth; filled += kBlock) {
          forward(std::min(kBlock, depth - filled));
        }
        const auto start = Clock::now();
        for (std::int64_t t = 0; t < options_.decode_tokens; ++t) {
          if (interrupted()) return row;
          forward(1);
        }
        decoding.samples.push_back(
            rate(options_.decode_tokens, seconds_since(start)));
      }
    }
    return row;
  }

 private:
  static ModelOptions loading_options(const BenchModelOptions& options) {
    ModelWords words = options.model;
    words.threads = *std::ranges::max_element(options.threads);
    ModelOptions loading = model_options(words);
    loading.cache_dtype = cache_dtype(loading);
    loading.context = std::max(
        options.prompt_tokens,
        *std::ranges::max_element(options.depths) + options.decode_tokens);
    return loading;
  }

  static double rate(std::int64_t tokens, double seconds) {
    return static_cast<double>(tokens) / seconds;
  }

  // Random tokens, then the logits of the last one.
  void forward(std::int64_t tokens) {
    std::vector<std::int64_t> ids;
    std::uniform_int_distribution<std::int64_t> any(
        0, checkpoint_.config().vocabulary - 1);
    for (std::int64_t i = 0; i < tokens; ++i) ids.push_back(any(random_));
    const at::Tensor hidden = model_->hidden_states(
        at::tensor(ids, at::kLong).unsqueeze(0), cache_.get());
    logits_ = model_->logits(hidden.select(1, tokens - 1));
  }

  // Speeds of a model that computes NaN are of no use. Refuses what a Sampler
  // does.
  void require_finite() const {
    if (at::isfinite(logits_).any().item<bool>()) return;
    throw_nonfinite(NonfiniteError("bench model: no logit is finite"),
                    options_.model,
                    {&options_.model.model, 1});
  }

  double read(std::int64_t tokens) {
    cache_->truncate(0);
    const auto start = Clock::now();
    forward(tokens);
    return seconds_since(start);
  }

  const BenchModelOptions& options_;
  ModelOptions loading_;
  DecoderCheckpoint checkpoint_;
  std::shared_ptr<Decoder> model_;
  std::unique_ptr<KvCache> cache_;
  at::Tensor logits_;  // of the last token
  double load_seconds_ = 0;
  std::mt19937_64 random_;
};

Json row_json(const Row& row, const BenchModelOptions& options) {
  Json decodings = Json::array();
  for (const Decoding& decoding : row.decodings) {
    decodings.push_back({{"depth", decoding.depth},
                         {"decode_tok_s", median(decoding.samples)},
                         {"samples", decoding.samples}});
  }
  return {{"threads", row.threads},
          {"compute_dtype", options.model.compute_dtype},
          {"prompt_tok_s", median(row.prompt)},
          {"decode_tok_s", median(row.decodings.front().samples)},

          {"samples",
           {{"prompt_tok_s", row.prompt},
            {"decode_tok_s", row.decodings.front().samples}}},
          {"depths", decodings}};
}

std::string row_text(const Row& row) {
  std::string text =
      fmt::format("{:>7}  {:>12.1f}", row.threads, median(row.prompt));
  for (const Decoding& decoding : row.decodings) {
    text += fmt::format("  {:>17.1f}", median(decoding.samples));
  }
  return text + "\n";
}

std::string heading(const BenchModelOptions& options,
                    double load_seconds,
                    double first_token_seconds) {
  std::string text = fmt::format(
      "{}, computed in {}; loaded in {:.2f} s, first token after {:.2f} s "
      "more; prompt of {} tokens, {} decoded, random ones, medians of {}\n"
      "threads  prompt tok/s",
      options.model.model,
      options.model.compute_dtype,
      load_seconds,
      first_token_seconds,
      options.prompt_tokens,
      options.decode_tokens,
      options.repetitions);
  for (const std::int64_t depth : options.depths) {
    text += fmt::format(
        "  {:>17}",
        depth == 0 ? "decode tok/s" : fmt::format("behind {} tok/s", depth));
  }
  return text + "\n";
}

int run_bench(BenchModelOptions options) {
  if (options.threads.empty()) {
    options.threads = {1};
    if (default_workers() > 1) options.threads.push_back(default_workers());
  }
  catch_signals();
  Bench bench(options);
  const double first = bench.first_token_seconds();
  if (!options.json) {
    print_text(weights_line(bench.checkpoint()));
    print_text(heading(options, bench.load_seconds(), first));
  }
  Json results = Json::array();
  for (const int threads : options.threads) {
    const Row row = bench.run(threads);
    if (interrupted()) return 128 + stop_signal();
    options.json ? results.push_back(row_json(row, options))
                 : print_text(row_text(row));
  }
  if (options.json) {
    print_json(
        json_text({{"schema_version", 1},
                   {"model", options.model.model},
                   {"prompt_tokens", options.prompt_tokens},
                   {"decode_tokens", options.decode_tokens},
                   {"quantized_weights", weights_json(bench.checkpoint())},
                   {"load_seconds", bench.load_seconds()},
                   {"first_token_seconds", first},
                   {"kv_cache_dtype", cache_name(bench.cache().dtype())},
                   {"kv_cache_bytes", bench.cache().nbytes()},
                   {"peak_memory_bytes", peak_memory()},
                   {"results", results}}));
  } else {
    print_text(fmt::format("peak memory {:.1f} MB, KV cache {:.1f} MB ({})\n",
                           static_cast<double>(peak_memory()) / 1e6,
                           static_cast<double>(bench.cache().nbytes()) / 1e6,
                           cache_name(bench.cache().dtype())));
  }
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<BenchModelOptions>();
  add_bench_model_words(app, *options).callback([options, &run] {
    run = [options] {
      return with_tool_errors([&] { return run_bench(*options); });
    };
  });
}

}  // namespace mantissa::cli
