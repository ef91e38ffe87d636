#pragma once

#include <string>
#include <utility>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa::support {

/// A checkpoint in memory: what a reader would present, without a file.
class MemorySource : public CheckpointSource {
 public:
  explicit MemorySource(std::string config_json = "")
      : config_json_(std::move(config_json)) {}

  /// Adds a tensor; its bytes are shared, not copied.
  MemorySource& add(std::string name, const HostTensor& tensor);
  /// Adds a name and a shape without bytes: reading it throws Error(Input).
  MemorySource& add(std::string name, DType dtype, Shape shape);
  MemorySource& set_metadata(std::map<std::string, std::string> metadata);
  MemorySource& add_companion(std::string name, std::string text);

  std::string kind() const override { return "memory"; }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override;
  void read_stored_rows(std::size_t index,
                        std::int64_t row,
                        std::int64_t rows,
                        std::span<std::byte> out) const override {
    read_rows(index, row, rows, out);
  }
  const std::map<std::string, std::string>& metadata() const override {
    return metadata_;
  }
  const std::string& config_json() const override { return config_json_; }
  std::vector<Companion> companions() const override { return companions_; }
  std::string fingerprint() const override;

 private:
  std::string config_json_;
  std::vector<SourceTensor> tensors_;
  std::vector<HostTensor> bytes_;  // one per tensor; numel 0 where none
  std::map<std::string, std::string> metadata_;
  std::vector<Companion> companions_;
};

}  // namespace mantissa::support
