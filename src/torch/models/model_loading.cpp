#include <mantissa/torch/model_loading.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "torch/models/model_weights.h"

namespace mantissa {
namespace {

std::string megabytes(std::int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

MemoryPlan make_plan(const CheckpointWeights& weights,
                     const DecoderConfig& config,
                     const ModelOptions& options) {
  MemoryPlan plan;
  plan.positions = options.context > 0 ? options.context : config.positions;
  plan.batch = options.batch;
  for (const CheckpointWeight& weight : weights.weights()) {
    if (weight.tied || weight.role == TensorRole::Position) continue;
    plan.weights +=
        loaded_bytes(weight, options.compute_dtype, options.int8_compute);
    // Read in the stored dtype, then cast; codes one to a byte while packed.
    const bool packs =
        weight.encoding != nullptr && options.int8_compute != Int8Compute::None;
    plan.loading = std::max(plan.loading,
                            weight.bytes + (packs ? numel(weight.shape) : 0));
  }
  plan.cache =
      KvCache::bytes_for(config,
                         plan.batch,
                         plan.positions,
                         options.cache_dtype.value_or(options.compute_dtype));
  return plan;
}

void check_limit(const MemoryPlan& plan, const ModelOptions& options) {
  if (!options.max_memory || plan.total() <= *options.max_memory) return;
  throw Error(ErrorKind::Resources,
              fmt::format("memory: {} are needed ({}), {} are allowed; use a "
                          "shorter context, a quantized checkpoint or a "
                          "narrower dtype to compute in or of the cache",
                          megabytes(plan.total()),
                          plan.text(),
                          megabytes(*options.max_memory)));
}

}  // namespace

std::int64_t MemoryPlan::total() const {
  return weights + std::max(loading, cache);
}

std::string MemoryPlan::text() const {
  std::string where = fmt::format("{} positions", positions);
  if (batch != 1) where += fmt::format(" x {} sequences", batch);
  return fmt::format("weights {} + KV cache {} ({}) = {}",
                     megabytes(weights),
                     megabytes(cache),
                     where,
                     megabytes(weights + cache));
}

struct DecoderCheckpoint::Files {
  CheckpointWeights weights;
};

DecoderCheckpoint::DecoderCheckpoint(const std::filesystem::path& path,
                                     const ModelOptions& options)
    : options_(options),
      files_(new Files{open_weights(path, options.compute_dtype)}) {
  const std::string& text = source().config_json();
  if (text.empty()) {
    throw Error(ErrorKind::Usage,
                path.string() +
                    ": no config.json beside the weights; a model is built "
                    "from it");
  }
  config_ = read_decoder_config(text);
  plan_ = make_plan(files_->weights, config_, options_);
  check_limit(plan_, options_);
  Decoder shapes(config_, options_.compute_dtype);
  check_names(shapes, files_->weights, path.string());
}

DecoderCheckpoint::~DecoderCheckpoint() = default;
DecoderCheckpoint::DecoderCheckpoint(DecoderCheckpoint&&) noexcept = default;

const CheckpointSource& DecoderCheckpoint::source() const {
  return files_->weights.source();
}

std::shared_ptr<Decoder> DecoderCheckpoint::load() const {
  auto model = std::make_shared<Decoder>(config_, options_.compute_dtype);
  load_parameters(*model,
                  files_->weights,
                  options_.compute_dtype,
                  options_.device,
                  options_.int8_compute);
  model->eval();
  return model;
}

std::shared_ptr<Decoder> load_decoder(const std::filesystem::path& path,
                                      const ModelOptions& options) {
  return DecoderCheckpoint(path, options).load();
}

}  // namespace mantissa
