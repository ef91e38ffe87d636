#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <string_view>

#include <mantissa/configs/registry.h>

#include "checkpoint/dialects/torchao.h"
#include "support/memory_source.h"

namespace mantissa::support {

/// A weight with smooth, different values.
inline HostTensor smooth_weight(Shape shape, double seed) {
  HostTensor tensor(DType::Float32, std::move(shape));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.as<float>()[i] =
        static_cast<float>(std::sin(static_cast<double>(i) * 0.37 + seed));
  }
  return tensor;
}

/// Encodes a weight as a config says.
inline EncodedTensor encode_as(std::string_view config,
                               const HostTensor& weight) {
  const ConfigPtr parsed = parse_config_words(config);
  const WeightChoice choice = parsed->choose(weight.shape(), weight.dtype());
  if (choice.encoding == nullptr) throw std::runtime_error(choice.refusal);
  return encode(choice.encoding, weight.view());
}

/// A checkpoint of torchao's convention in memory.
class TorchaoSource {
 public:
  explicit TorchaoSource(std::string config_json = "")
      : source(std::move(config_json)) {}

  TorchaoSource& add(const std::string& name, const EncodedTensor& tensor) {
    metadata_.add(name, tensor.encoding.get());
    const auto layouts = tensor.encoding->fields();
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      source.add(torchao_field_name(name, layouts[i].name), tensor.fields[i]);
    }
    source.set_metadata(metadata_.finish());
    return *this;
  }
  TorchaoSource& add(const std::string& name, const HostTensor& tensor) {
    metadata_.add(name, nullptr);
    source.add(name, tensor);
    source.set_metadata(metadata_.finish());
    return *this;
  }

  MemorySource source;

 private:
  TorchaoMetadata metadata_;
};

}  // namespace mantissa::support
