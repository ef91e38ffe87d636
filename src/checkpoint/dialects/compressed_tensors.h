#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <mantissa/formats/compressed_tensor.h>

#include "checkpoint/dialects/dialect.h"

namespace mantissa {

// compressed-tensors (llm-compressor, vLLM): the weight of module "a.b" is
// stored as "a.b.weight_packed" or "a.b.weight" with "a.b.weight_scale", ...;
// config.json holds one scheme per group of modules.

/// "a.b" of "a.b.weight"; empty for any other name.
std::string_view compressed_module(std::string_view tensor);

/// The quantization_config of a plan: one group for each scheme, the largest
/// targeting Linear where the architecture is known, the others exact names.
nlohmann::ordered_json compressed_config(const Plan& plan);

/// How many schemes the encoded tensors of a plan have.
std::size_t compressed_groups(const Plan& plan);

/// A scheme of config.json as it is read.
struct CompressedGroup {
  std::vector<std::string> targets;  ///< names, expressions, class names
  CompressedSpec spec;
  std::string refusal;  ///< why this version does not read it; "" if it does
  bool weights = true;  ///< false: only activations are quantized, or nothing
};

/// The groups of config.json and who belongs to them.
class CompressedGroups {
 public:
  /// Throws Error(Input) when config_groups is not what it should be.
  explicit CompressedGroups(const nlohmann::ordered_json& quantization);
  CompressedGroups(const CompressedGroups&) = delete;
  CompressedGroups& operator=(const CompressedGroups&) = delete;

  /// All groups, in the order of config.json.
  const std::vector<CompressedGroup>& all() const { return groups_; }
  /// The group of a module by its name: exact names, then regular expressions
  /// sorted by their text (matching at the start). A target of several groups
  /// belongs to the last of them. Null if none.
  const CompressedGroup* named(std::string_view module) const;
  /// The same of a Linear: named(), then the class.
  const CompressedGroup* find(std::string_view module) const;
  bool ignores(std::string_view module) const;
  /// compressed-tensors before 0.18 padded words; false when unknown.
  bool padded_version() const { return padded_version_; }

 private:
  // Names and expressions that lead to a group, in compressed-tensors' order.
  class Targets;

  std::vector<CompressedGroup> groups_;
  std::shared_ptr<const Targets> targets_;
  std::shared_ptr<const Targets> ignored_;
  const CompressedGroup* linear_ = nullptr;
  bool padded_version_ = false;
};

/// quantization_config of compressed-tensors in a config.json text, also inside
/// text_config and under its old name compression_config; null if none.
nlohmann::ordered_json compressed_quantization(const std::string& config_json);

/// Why the weights of such a config.json are not values of the model by
/// themselves: its transform_config has schemes, rotations that a loader applies
/// around layers. "" if they are.
std::string unapplied_transforms(const std::string& config_json);

/// The logical tensors behind a source of this convention.
class CompressedCheckpoint final : public DialectCheckpoint {
 public:
  /// Throws Error(Input) when quantization_config cannot be read.
  explicit CompressedCheckpoint(const CheckpointSource& source);

 private:
  void read_module(const std::string& module, const CompressedGroups& groups);
  std::shared_ptr<const Encoding> encoding_of(
      const std::vector<FieldLayout>& fields,
      const std::vector<std::size_t>& parts,
      const CompressedGroup& group,
      bool padded_version) const;
  Shape read_shape(std::size_t part) const;
};

/// Compares quantization_config with what is stored.
std::vector<Finding> verify_compressed_config(
    const nlohmann::ordered_json& quantization,
    std::span<const LogicalTensor* const> quantized);

/// What loads an encoding of this dialect.
LoaderNote compressed_loader_note(const Encoding& encoding);

/// This dialect.
const Dialect& compressed_tensors_dialect();

}  // namespace mantissa
