#include "checkpoint/cast_source.h"

#include <vector>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/convert.h>

namespace mantissa {
namespace {

class CastSource final : public CheckpointSource {
 public:
  CastSource(std::unique_ptr<CheckpointSource> source, DType dtype)
      : source_(std::move(source)), tensors_(source_->tensors()) {
    for (SourceTensor& tensor : tensors_) {
      if (is_high_precision(tensor.dtype) && tensor.dtype != DType::Float64) {
        tensor.dtype = dtype;
      }
    }
  }

  std::string kind() const override { return source_->kind(); }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }

  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override {
    const SourceTensor& from = source_->tensors()[index];
    const SourceTensor& to = tensors_[index];
    if (from.dtype == to.dtype) {
      source_->read_rows(index, row, rows, out);
      return;
    }
    const std::int64_t columns = from.shape.empty() ? 1 : from.shape.back();
    const Shape shape = {rows, columns};
    std::vector<std::byte> buffer(
        static_cast<std::size_t>(byte_count(from.dtype, shape)));
    source_->read_rows(index, row, rows, buffer);
    convert(ConstTensorView{from.dtype, shape, buffer.data()},
            TensorView{to.dtype, shape, out.data()});
  }

  void read_stored_rows(std::size_t index,
                        std::int64_t row,
                        std::int64_t rows,
                        std::span<std::byte> out) const override {
    source_->read_stored_rows(index, row, rows, out);
  }

  const std::map<std::string, std::string>& metadata() const override {
    return source_->metadata();
  }
  const std::string& config_json() const override {
    return source_->config_json();
  }
  std::vector<Companion> companions() const override {
    return source_->companions();
  }
  std::string fingerprint() const override { return source_->fingerprint(); }
  std::vector<std::string> notes() const override { return source_->notes(); }
  std::vector<SourceFile> files() const override { return source_->files(); }

 private:
  std::unique_ptr<CheckpointSource> source_;
  std::vector<SourceTensor> tensors_;
};

}  // namespace

std::unique_ptr<CheckpointSource> cast_source(
    std::unique_ptr<CheckpointSource> source, DType dtype) {
  return std::make_unique<CastSource>(std::move(source), dtype);
}

}  // namespace mantissa
