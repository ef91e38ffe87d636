#pragma once

#include <cstddef>
#include <memory>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect.h"

namespace mantissa {

/// Whether tensors that only a quantized model has (input scales, scales of the
/// key-value cache) are presented too, and config.json with what it says of
/// them.
enum class SideTensors { Drop, Keep };

/// A quantized checkpoint as its plain weights: logical names, shapes and
/// dtypes, decoded block by block; config.json without quantization_config
/// unless side tensors are kept.
class DecodedSource final : public CheckpointSource {
 public:
  /// Throws Error(Input) when a tensor is malformed or belongs to nothing.
  DecodedSource(std::unique_ptr<CheckpointSource> source,
                const Dialect& dialect,
                SideTensors side);

  const Dialect& dialect() const { return dialect_; }
  const CheckpointSource& stored() const { return *source_; }
  /// What is behind tensors()[index].
  const DialectTensor& tensor(std::size_t index) const {
    return *logical_[index];
  }
  /// The fields of tensors()[index], which is not plain, as they are stored.
  EncodedTensor load(std::size_t index) const {
    return quantized_->load(logical_[index]->name);
  }

  std::string kind() const override { return source_->kind(); }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override;
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override { return config_; }
  std::vector<Companion> companions() const override {
    return source_->companions();
  }
  std::string fingerprint() const override { return source_->fingerprint(); }
  std::vector<std::string> notes() const override { return source_->notes(); }

 private:
  void read_block(const DialectTensor& tensor,
                  const RowBlock& block,
                  std::span<std::byte> out) const;

  std::unique_ptr<CheckpointSource> source_;
  const Dialect& dialect_;
  std::unique_ptr<DialectCheckpoint> quantized_;
  std::vector<SourceTensor> tensors_;
  std::vector<const DialectTensor*> logical_;
  std::map<std::string, std::string> metadata_ = {{"format", "pt"}};
  std::string config_;
};

/// Whether the source is a DecodedSource.
bool is_decoded(const CheckpointSource& source);

/// `target` filled from the codes of tensor `index`, if the source is decoded
/// and both have the same grid; else null.
std::shared_ptr<const Encoding> carried_encoding(
    const CheckpointSource& source,
    std::size_t index,
    const std::shared_ptr<const Encoding>& target);

/// The format behind tensor `index` of a decoded source; "" if it is plain.
std::string_view carried_format(const CheckpointSource& source,
                                std::size_t index);

}  // namespace mantissa
