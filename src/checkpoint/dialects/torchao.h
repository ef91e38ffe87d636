#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect.h"

namespace mantissa {

// torchao's convention for quantized tensors in safetensors files: tensor
// "a.b.weight" is stored as "a.b._weight_qdata", "a.b._weight_scale", ...; the
// metadata holds one JSON text per logical tensor and their list, tensor_names.

/// Name of a field in the file: "a.b.weight", "qdata" -> "a.b._weight_qdata".
/// Throws Error(Usage) for a name without a dot, which torchao cannot load.
std::string torchao_field_name(std::string_view tensor, std::string_view field);

/// The metadata entry of an encoded tensor, spaced as Python's json.dumps.
std::string torchao_metadata_entry(const Encoding& encoding);

/// Builds the `__metadata__` that every shard carries whole.
class TorchaoMetadata {
 public:
  /// Adds a logical tensor in order; encoding null: a plain tensor. Encodings
  /// outlive the object: tensors that share one share its text. Throws
  /// Error(Usage) for a name without a dot or a name twice.
  void add(const std::string& name, const Encoding* encoding);
  /// All entries, tensor_names and "format": "pt".
  std::map<std::string, std::string> finish() const;

 private:
  std::map<std::string, std::string> entries_;
  std::vector<std::string> names_;
  std::unordered_map<const Encoding*, std::string> known_;
};

/// True when the metadata is of this convention: tensor_names is a JSON list.
bool is_torchao_metadata(const std::map<std::string, std::string>& metadata);

/// The logical tensors behind a source of this convention.
class TorchaoCheckpoint final : public DialectCheckpoint {
 public:
  /// Throws Error(Input) when tensor_names is not a list of distinct names.
  explicit TorchaoCheckpoint(const CheckpointSource& source);

 private:
  void read_entry(const std::string& name);
  void read_encoded(DialectTensor tensor,
                    const std::string& attributes,
                    const std::vector<std::string>& data_names);
};

/// torchao's note on an encoding.
LoaderNote torchao_loader_note(const Encoding& encoding);

/// The config that holds a tensor of compressed-tensors on the same grid.
/// Throws Error(Usage) saying why there is none.
ConfigPtr torchao_config_of(const Encoding& encoding, bool zero_points);

/// Compares quantization_config with what is stored.
std::vector<Finding> verify_torchao_config(
    const nlohmann::ordered_json& quantization,
    std::span<const LogicalTensor* const> quantized);

/// This dialect.
const Dialect& torchao_dialect();

}  // namespace mantissa
