#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace mantissa::cli {

/// How `eval`, `generate`, `embed` and `bench model` load and run a model.
struct ModelWords {
  std::string model;
  std::string compute_dtype = "float32";
  std::string kv_cache_dtype;  ///< empty: the usual one; `eval`: no cache
  std::string max_memory;      ///< empty: no limit
  int threads = 0;             ///< set to the number of processors
};

/// The words of `eval`.
struct EvalOptions {
  ModelWords model;
  std::string text;
  std::string reference;
  std::int64_t context = 512;
  std::int64_t windows = 0;
  std::int64_t batch = 4;
  bool full = false;
  bool json = false;
  bool quiet = false;
};

/// The words of `generate`.
struct GenerateOptions {
  ModelWords model;
  std::string prompt;
  std::string system;
  std::string messages;
  std::string chat_template;
  std::string date;
  bool chat = false;
  bool special = false;
  bool json = false;
  bool quiet = false;
  std::int64_t max_tokens = 256;
  std::int64_t context = 0;
  double temperature = 0;
  std::int64_t top_k = 0;
  double top_p = 1;
  double min_p = 0;
  double repetition_penalty = 1;
  std::uint64_t seed = 0;
};

/// The words of `embed`.
struct EmbedOptions {
  ModelWords model;
  std::vector<std::string> sentences;
  std::string file;
  std::int64_t batch = 32;
};

/// The words of `bench model`.
struct BenchModelOptions {
  ModelWords model;
  std::vector<int> threads;  ///< empty: one, and all processors
  std::vector<std::int64_t> depths = {0};
  std::int64_t prompt_tokens = 512;
  std::int64_t decode_tokens = 128;
  std::int64_t repetitions = 5;
  bool json = false;
};

/// Adds a subcommand whose words go to `options`, which must outlive the
/// parsing.
CLI::App& add_eval_words(CLI::App& app, EvalOptions& options);
CLI::App& add_generate_words(CLI::App& app, GenerateOptions& options);
CLI::App& add_embed_words(CLI::App& app, EmbedOptions& options);

CLI::App& add_bench_model_words(CLI::App& app, BenchModelOptions& options);

}  // namespace mantissa::cli
