#include "cli/torch/running.h"

#include <cstdint>
#include <exception>
#include <map>
#include <string_view>
#include <utility>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/verify.h"
#include "cli/signals.h"
#include "cli/sizes.h"
#include "cli/terminal.h"
#include "core/quoted.h"

namespace mantissa::cli {

ModelOptions model_options(const ModelWords& words) {
  at::set_num_threads(words.threads);
  ModelOptions options;
  const std::string& compute = words.compute_dtype;
  options.compute_dtype = compute == "bfloat16"  ? at::kBFloat16
                          : compute == "float16" ? at::kHalf
                                                 : at::kFloat;
  options.int8_compute = compute == "int8-token" ? Int8Compute::Token
                         : compute == "int8-g32" ? Int8Compute::Group32
                         : compute == "int8-g64" ? Int8Compute::Group64
                                                 : Int8Compute::Float;
  const std::string& cache = words.kv_cache_dtype;
  if (!cache.empty()) {
    options.cache_dtype = cache == "int8"       ? at::kChar
                          : cache == "bfloat16" ? at::kBFloat16
                          : cache == "float16"  ? at::kHalf
                                                : at::kFloat;
  }
  if (!words.max_memory.empty()) {
    options.max_memory = parse_size("--max-memory", words.max_memory);
  }
  return options;
}

c10::ScalarType cache_dtype(const ModelOptions& options) {
  return options.cache_dtype.value_or(
      options.compute_dtype == at::kHalf ? at::kHalf : at::kBFloat16);
}

std::string cache_name(c10::ScalarType dtype) {
  return dtype == at::kChar       ? "int8"
         : dtype == at::kBFloat16 ? "bfloat16"
         : dtype == at::kHalf     ? "float16"
                                  : "float32";
}

std::string weights_line(const DecoderCheckpoint& checkpoint) {
  const std::string text = products_text(checkpoint.quantized_weights());
  return text.empty() ? text : text + "\n";
}

nlohmann::ordered_json weights_json(const DecoderCheckpoint& checkpoint) {
  std::map<std::string, std::int64_t> multiplied;
  std::map<std::string, std::int64_t> activations;
  std::map<std::pair<std::string, std::string>, std::int64_t> decoded;
  for (const QuantizedWeight& weight : checkpoint.quantized_weights()) {
    ++(weight.decoded.empty() ? multiplied[weight.stored]
                              : decoded[{weight.stored, weight.decoded}]);
    if (weight.decoded.empty()) ++activations[weight.activations];
  }
  auto list = nlohmann::ordered_json::array();
  for (const auto& [key, count] : decoded) {
    list.push_back(
        {{"stored", key.first}, {"count", count}, {"reason", key.second}});
  }
  return {{"multiplied", nlohmann::ordered_json(multiplied)},
          {"activations", nlohmann::ordered_json(activations)},
          {"decoded", list}};
}

namespace {

// "MODEL: "TENSOR": what is wrong", or "": of the values as they are stored,
// not in the dtype that is computed in.
std::string wrong_weight(const std::string& model, int threads) {
  try {
    const auto source = open_checkpoint(model, {.any_gguf = true});
    const auto wrong = first_wrong_value(*source, threads);
    return wrong ? fmt::format("{}: {}: {}",
                               model,
                               quoted_name(wrong->tensor),
                               wrong->what)
                 : "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::string_view remedy(const ModelWords& words) {
  if (words.compute_dtype == "float16") {
    return "float16 ends at 65504: use --compute-dtype bfloat16 or float32";
  }
  if (words.kv_cache_dtype == "float16") {
    return "float16 ends at 65504: use --kv-cache-dtype bfloat16 or float32";
  }
  return "compare the model with its original (`mantissa diff`)";
}

}  // namespace

void throw_nonfinite(const NonfiniteError& error,
                     const ModelWords& words,
                     std::span<const std::string> models) {
  release_signals();  // Ctrl-C ends the reading
  print_note("reading the weights again for the first that is wrong\n");
  const int threads = words.threads > 0 ? words.threads : default_workers();
  for (const std::string& model : models) {
    const std::string wrong = wrong_weight(model, threads);
    if (wrong.empty()) continue;
    throw Error(error.kind(),
                fmt::format("{}. {}. Fetch or quantize it again; `mantissa "
                            "verify` lists all such weights",
                            error.symptom(),
                            wrong));
  }
  throw Error(
      error.kind(),
      fmt::format(
          "{}. All weights are finite; {}", error.symptom(), remedy(words)));
}

bool interrupted() { return stop_signal() != 0; }

}  // namespace mantissa::cli
