#include <mantissa/torch/model_loading.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "torch/models/companion_files.h"
#include "torch/models/memory_plan.h"
#include "torch/models/model_weights.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {

namespace {

// Codes are multiplied on the CPU alone.
GgufBlocks blocks_for(const ModelOptions& options) {
  return options.int8_compute != Int8Compute::None && options.device.is_cpu()
             ? GgufBlocks::Lowbit
             : GgufBlocks::Decode;
}

using Counts = std::map<std::string, std::int64_t>;

// "Q4_0 180, Q8_0 29".
std::string counts_text(const Counts& counts) {
  std::string out;
  for (const auto& [type, count] : counts) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", type, count);
  }
  return out;
}

std::int64_t total_of(const Counts& counts) {
  std::int64_t out = 0;
  for (const auto& [type, count] : counts) out += count;
  return out;
}

}  // namespace

struct DecoderCheckpoint::Files {
  CheckpointWeights weights;
};

DecoderCheckpoint::DecoderCheckpoint(const std::filesystem::path& path,
                                     const ModelOptions& options)
    : options_(options),
      files_(new Files{
          open_weights(path, options.compute_dtype, blocks_for(options))}) {
  config_ = read_decoder_config(config_text(source(), path.string()));
  plan_ = make_memory_plan(files_->weights, config_, options_);
  plan_.require(options_.max_memory);
  Decoder shapes(config_, options_.compute_dtype);
  check_names(shapes, files_->weights, path.string());
}

DecoderCheckpoint::~DecoderCheckpoint() = default;
DecoderCheckpoint::DecoderCheckpoint(DecoderCheckpoint&&) noexcept = default;

const CheckpointSource& DecoderCheckpoint::source() const {
  return files_->weights.source();
}

std::vector<QuantizedWeight> DecoderCheckpoint::quantized_weights() const {
  std::vector<QuantizedWeight> out;
  for (const CheckpointWeight& weight : files_->weights.weights()) {
    const std::string reason =
        decoding_reason(weight, options_.int8_compute, options_.device);
    if (weight.tied || (weight.encoding == nullptr && reason.empty())) continue;
    out.push_back({weight.name,
                   weight.stored,
                   reason,
                   reason.empty() ? activations_of(*weight.encoding,
                                                   options_.int8_compute,
                                                   options_.compute_dtype)
                                  : std::string()});
  }
  return out;
}

std::string products_text(const std::vector<QuantizedWeight>& weights) {
  Counts codes;
  std::map<std::string, Counts> decoded;  // by reason
  std::int64_t configured = 0;
  for (const QuantizedWeight& weight : weights) {
    configured += weight.activations == "config" ? 1 : 0;
    ++(weight.decoded.empty() ? codes : decoded[weight.decoded])[weight.stored];
  }
  std::string out;
  if (!codes.empty()) {
    const std::int64_t count = total_of(codes);
    out = fmt::format("{} {} as stored ({})",
                      count,
                      count == 1 ? "weight multiplies" : "weights multiply",
                      counts_text(codes));
    if (configured > 0) {
      out += fmt::format(
          ", {}with activations as {} config says",
          configured == count ? "" : fmt::format("{} of them ", configured),
          configured == 1 ? "its" : "their");
    }
  }
  for (const auto& [reason, counts] : decoded) {
    const std::int64_t count = total_of(counts);
    const std::string_view noun = !out.empty() ? ""
                                  : count == 1 ? "weight "
                                               : "weights ";
    out += fmt::format("{}{} {}{} decoded ({}: {})",
                       out.empty() ? "" : ", ",
                       count,
                       noun,
                       count == 1 ? "is" : "are",
                       counts_text(counts),
                       reason);
  }
  return out;
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
