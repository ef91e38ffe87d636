#include <mantissa/torch/model_loading.h>

#include "torch/models/companion_files.h"
#include "torch/models/memory_plan.h"
#include "torch/models/model_weights.h"

namespace mantissa {

struct DecoderCheckpoint::Files {
  CheckpointWeights weights;
};

DecoderCheckpoint::DecoderCheckpoint(const std::filesystem::path& path,
                                     const ModelOptions& options)
    : options_(options),
      files_(new Files{open_weights(path, options.compute_dtype)}) {
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
