#include "support/memory_source.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include <mantissa/core/error.h>

namespace mantissa::support {

MemorySource& MemorySource::add(std::string name, const HostTensor& tensor) {
  add(std::move(name), tensor.dtype(), tensor.shape());
  bytes_.back() = tensor;
  return *this;
}

MemorySource& MemorySource::add(std::string name, DType dtype, Shape shape) {
  SourceTensor tensor{.name = std::move(name),
                      .dtype = dtype,
                      .shape = std::move(shape),
                      .stored_type = {},
                      .stored_bytes = 0};
  tensor.stored_type = safetensors_name(dtype);
  tensor.stored_bytes = byte_count(dtype, tensor.shape);
  tensors_.push_back(std::move(tensor));
  bytes_.emplace_back();
  return *this;
}

MemorySource& MemorySource::set_metadata(
    std::map<std::string, std::string> metadata) {
  metadata_ = std::move(metadata);
  return *this;
}

MemorySource& MemorySource::add_companion(std::string name, std::string text) {
  companions_.push_back({std::move(name), {}, std::move(text)});
  std::ranges::sort(companions_, {}, &Companion::name);
  return *this;
}

void MemorySource::read_rows(std::size_t index,
                             std::int64_t row,
                             std::int64_t rows,
                             std::span<std::byte> out) const {
  const SourceTensor& tensor = tensors_.at(index);
  const std::int64_t width = tensor.shape.empty() ? 1 : tensor.shape.back();
  const std::int64_t row_bytes = byte_count(tensor.dtype, {width});
  const auto begin = static_cast<std::size_t>(row * row_bytes);
  const auto size = static_cast<std::size_t>(rows * row_bytes);
  if (out.size() != size ||
      begin + size > static_cast<std::size_t>(tensor.stored_bytes)) {
    throw Error(ErrorKind::Unexpected, tensor.name + ": wrong row range");
  }
  if (size == 0) return;
  if (bytes_[index].shape() != tensor.shape) {
    throw Error(ErrorKind::Input, tensor.name + ": added without bytes");
  }
  std::memcpy(out.data(), bytes_[index].data() + begin, size);
}

std::string MemorySource::fingerprint() const {
  std::string text = config_json_;
  for (const SourceTensor& tensor : tensors_) {
    text += '\n' + tensor.name + tensor.stored_type + to_string(tensor.shape);
  }
  return std::to_string(std::hash<std::string>{}(text));
}

}  // namespace mantissa::support
