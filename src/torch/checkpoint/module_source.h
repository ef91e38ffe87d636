#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/write_checkpoint.h"

namespace mantissa {

/// Tensors in memory as a checkpoint: each field of a quantized weight and each
/// plain tensor is one tensor of the source. Its config.json and companions are
/// those of another checkpoint, if there is one.
class ModuleSource final : public CheckpointSource {
 public:
  /// `like` may be null.
  explicit ModuleSource(std::unique_ptr<CheckpointSource> like);

  /// Adds a plain tensor of any device.
  void add(NewTensor tensor, const at::Tensor& values);
  /// Adds the fields of an inference weight, in the order of its encoding.
  void add(NewTensor tensor,
           const std::shared_ptr<const Encoding>& encoding,
           const std::vector<at::Tensor>& fields);
  const std::vector<NewTensor>& new_tensors() const { return new_tensors_; }

  std::string kind() const override { return "module"; }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override;
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override { return config_json_; }
  std::vector<Companion> companions() const override;
  std::string fingerprint() const override;

 private:
  std::size_t add_part(const std::string& name, const at::Tensor& part);
  at::Tensor host(std::size_t index) const;

  std::unique_ptr<CheckpointSource> like_;
  std::string config_json_;
  std::vector<SourceTensor> tensors_;
  std::vector<at::Tensor> parts_;  // parallel to tensors_
  std::vector<NewTensor> new_tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::size_t> owners_;  // tensor of each part, in new_tensors_
  // Parts of one tensor that had to be copied to the host: its encoder reads
  // them by turns, and never comes back to an earlier tensor.
  mutable std::mutex mutex_;
  mutable std::size_t copied_owner_ = 0;
  mutable std::map<std::size_t, at::Tensor> copied_;
};

}  // namespace mantissa
