#include "torch/checkpoint/module_source.h"

#include <cstring>
#include <utility>

#include <mantissa/core/tensor_view.h>

#include "checkpoint/hash.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {

ModuleSource::ModuleSource(std::unique_ptr<CheckpointSource> like)
    : like_(std::move(like)) {
  if (like_ != nullptr) config_json_ = like_->config_json();
}

std::size_t ModuleSource::add_part(const std::string& name,
                                   const at::Tensor& part) {
  const DType dtype = dtype_of(part.scalar_type());
  tensors_.push_back(
      {.name = name,
       .dtype = dtype,
       .shape = shape_of(part),
       .stored_type = std::string(safetensors_name(dtype)),
       .stored_bytes = static_cast<std::int64_t>(part.nbytes())});
  parts_.push_back(part);
  owners_.push_back(new_tensors_.size());
  return parts_.size() - 1;
}

void ModuleSource::add(NewTensor tensor, const at::Tensor& values) {
  tensor.stored.type = DialectTensor::kPlain;
  tensor.stored.parts = {add_part(tensor.stored.name, values)};
  new_tensors_.push_back(std::move(tensor));
}

void ModuleSource::add(NewTensor tensor,
                       const std::shared_ptr<const Encoding>& encoding,
                       const std::vector<at::Tensor>& fields) {
  tensor.stored.type = encoding->format_name();
  tensor.stored.encoding = encoding;
  const std::vector<FieldLayout> layouts = encoding->fields();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    tensor.stored.parts.push_back(
        add_part(tensor.stored.name + "/" + layouts[i].name, fields[i]));
  }
  new_tensors_.push_back(std::move(tensor));
}

at::Tensor ModuleSource::host(std::size_t index) const {
  const at::Tensor& part = parts_[index];
  if (part.is_cpu() && part.is_contiguous() && !part.is_neg()) return part;
  const std::lock_guard lock(mutex_);
  if (copied_owner_ != owners_[index]) copied_.clear();
  copied_owner_ = owners_[index];
  at::Tensor& copy = copied_[index];
  if (!copy.defined()) copy = part.cpu().resolve_neg().contiguous();
  return copy;
}

void ModuleSource::read_rows(std::size_t index,
                             std::int64_t row,
                             std::int64_t rows,
                             std::span<std::byte> out) const {
  if (rows == 0) return;
  const Shape& shape = tensors_[index].shape;
  const std::int64_t row_bytes =
      byte_count(tensors_[index].dtype, {shape.empty() ? 1 : shape.back()});
  const at::Tensor part = host(index);
  std::memcpy(
      out.data(),
      static_cast<const std::byte*>(part.const_data_ptr()) + row * row_bytes,
      static_cast<std::size_t>(rows * row_bytes));
}

std::vector<Companion> ModuleSource::companions() const {
  return like_ == nullptr ? std::vector<Companion>() : like_->companions();
}

std::string ModuleSource::fingerprint() const {
  Hash128 hash;
  for (const SourceTensor& tensor : tensors_) {
    hash.add(tensor.name).add(tensor.stored_type);
    hash.add(to_string(tensor.shape));
  }
  return hash.add(config_json_).hex();
}

}  // namespace mantissa
