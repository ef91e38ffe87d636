#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

// torchao's convention for quantized tensors in safetensors files: tensor
// "a.b.weight" is stored as "a.b._weight_qdata", "a.b._weight_scale", ...; the
// metadata holds one JSON text per logical tensor and their list, tensor_names.

/// Name of a field in the file: "a.b.weight", "qdata" -> "a.b._weight_qdata".
/// Throws Error(Usage) for a name without a dot, which torchao cannot load.
std::string torchao_field_name(std::string_view tensor, std::string_view field);

/// The fields of an encoded tensor under their names in the file, in the order
/// of encoding.fields().
std::vector<FieldLayout> torchao_file_tensors(std::string_view tensor,
                                              const Encoding& encoding);

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

/// One logical tensor of a checkpoint.
struct TorchaoTensor {
  std::string name;
  std::string type;  ///< "Tensor", "Int8Tensor", ...
  /// Null for a plain tensor, and for one that problems() speaks of.
  std::shared_ptr<const Encoding> encoding;
  /// Source tensors: the one of a plain tensor, or the fields in the order of
  /// encoding->fields(). Without an encoding: the parts that were found.
  std::vector<std::size_t> parts;

  bool plain() const { return type == "Tensor"; }
};

/// The logical tensors behind a source of this convention. Opening never
/// throws because of one tensor: what is wrong is listed, so that `verify` can
/// name all of it, and load() throws.
class TorchaoCheckpoint {
 public:
  /// The source outlives the object. Throws Error(Input) when tensor_names is
  /// not a list of distinct names.
  explicit TorchaoCheckpoint(const CheckpointSource& source);

  /// In tensor_names order; those without any stored part are left out.
  const std::vector<TorchaoTensor>& tensors() const { return tensors_; }
  /// Names in tensor_names of which the files hold nothing (a tied lm_head).
  const std::vector<std::string>& missing() const { return missing_; }
  /// Source tensors that no logical tensor claims.
  const std::vector<std::size_t>& leftovers() const { return leftovers_; }
  /// What is malformed, one sentence each, naming tensor, field, expected and
  /// found.
  const std::vector<std::string>& problems() const { return problems_; }
  /// Throws Error(Input) with the first problem.
  void require_sound() const;

  const TorchaoTensor* find(std::string_view name) const;
  /// The fields of an encoded tensor. Throws Error(Input) with its problem,
  /// Error(Usage) when the name is unknown or the tensor plain.
  EncodedTensor load(std::string_view name) const;
  /// Any tensor in its logical dtype: decoded, or as stored.
  HostTensor load_dense(std::string_view name) const;

 private:
  void read_entry(const std::string& name);
  void read_encoded(TorchaoTensor tensor,
                    const std::string& attributes,
                    const std::vector<std::string>& data_names);
  void bind_fields(TorchaoTensor& tensor,
                   const std::vector<std::string>& data_names);
  const TorchaoTensor& at(std::string_view name) const;
  HostTensor read_part(std::size_t index) const;

  const CheckpointSource& source_;
  std::unordered_map<std::string_view, std::size_t> stored_;
  std::vector<bool> claimed_;
  std::vector<TorchaoTensor> tensors_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::vector<std::string> missing_;
  std::vector<std::size_t> leftovers_;
  std::vector<std::string> problems_;
};

}  // namespace mantissa
