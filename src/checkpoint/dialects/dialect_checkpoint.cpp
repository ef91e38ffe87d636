#include "checkpoint/dialects/dialect_checkpoint.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

std::string describe(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", safetensors_name(dtype), to_string(shape));
}

}  // namespace

DialectCheckpoint::DialectCheckpoint(const CheckpointSource& source)
    : source_(source), claimed_(source.tensors().size(), false) {
  const auto& tensors = source.tensors();
  for (std::size_t i = 0; i < tensors.size(); ++i) stored_[tensors[i].name] = i;
}

const std::size_t* DialectCheckpoint::stored(std::string_view name) const {
  const auto found = stored_.find(name);
  return found == stored_.end() ? nullptr : &found->second;
}

void DialectCheckpoint::add(DialectTensor tensor) {
  by_name_[tensor.name] = tensors_.size();
  tensors_.push_back(std::move(tensor));
}

void DialectCheckpoint::add_plain(std::size_t part) {
  claim(part);
  add({.name = source_.tensors()[part].name,
       .type = std::string(DialectTensor::kPlain),
       .encoding = nullptr,
       .parts = {part}});
}

void DialectCheckpoint::add_problem(std::string_view tensor,
                                    const std::string& what) {
  problems_.push_back(fmt::format("tensor {}: {}", quoted_name(tensor), what));
}

void DialectCheckpoint::add_problem(std::string_view tensor,
                                    std::string_view format,
                                    std::string_view what) {
  add_problem(tensor,
              what.starts_with(format) ? std::string(what)
                                       : fmt::format("{}: {}", format, what));
}

void DialectCheckpoint::collect_leftovers() {
  for (std::size_t i = 0; i < claimed_.size(); ++i) {
    if (!claimed_[i]) leftovers_.push_back(i);
  }
}

std::vector<std::size_t> DialectCheckpoint::bind_fields(
    const Encoding& encoding,
    const std::vector<FieldLayout>& fields,
    const std::vector<std::size_t>& parts) const {
  std::vector<std::size_t> ordered;
  for (const FieldLayout& field : encoding.fields()) {
    const auto at = std::ranges::find(fields, field.name, &FieldLayout::name);
    if (at == fields.end()) {
      throw Error(ErrorKind::Input,
                  fmt::format("field {} is not listed", field.name));
    }
    const std::size_t part =
        parts[static_cast<std::size_t>(at - fields.begin())];
    const SourceTensor& found = source_.tensors()[part];
    if (found.dtype != field.dtype || found.shape != field.shape) {
      throw Error(ErrorKind::Input,
                  fmt::format("field {}: expected {}, got {}",
                              field.name,
                              describe(field.dtype, field.shape),
                              describe(found.dtype, found.shape)));
    }
    ordered.push_back(part);
  }
  if (ordered.size() != parts.size()) {
    throw Error(
        ErrorKind::Input,
        fmt::format(
            "expected {} fields, got {}", ordered.size(), parts.size()));
  }
  return ordered;
}

void DialectCheckpoint::require_sound() const {
  if (!problems_.empty()) throw Error(ErrorKind::Input, problems_.front());
}

const DialectTensor* DialectCheckpoint::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const DialectTensor& DialectCheckpoint::at(std::string_view name) const {
  const DialectTensor* tensor = find(name);
  if (tensor == nullptr) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("tensor {} is not in the checkpoint", quoted_name(name)));
  }
  if (tensor->plain() || tensor->encoding != nullptr) return *tensor;
  const std::string start =
      fmt::format("tensor {}: ", quoted_name(tensor->name));
  const auto problem = std::ranges::find_if(
      problems_,
      [&](const std::string& text) { return text.starts_with(start); });
  throw Error(ErrorKind::Input, *problem);
}

HostTensor DialectCheckpoint::read_part(std::size_t index) const {
  const SourceTensor& part = source_.tensors()[index];
  HostTensor tensor(part.dtype, part.shape);
  const MatrixShape shape = matrix_shape(part.shape);
  source_.read_rows(index,
                    0,
                    part.stored_bytes == 0 ? 0 : shape.matrices * shape.rows,
                    tensor.mutable_view().bytes());
  return tensor;
}

EncodedTensor DialectCheckpoint::load(std::string_view name) const {
  const DialectTensor& tensor = at(name);
  if (tensor.plain()) {
    throw Error(ErrorKind::Usage,
                fmt::format("tensor {} is not quantized", quoted_name(name)));
  }
  EncodedTensor loaded{tensor.encoding, {}};
  for (const std::size_t part : tensor.parts) {
    loaded.fields.push_back(read_part(part));
  }
  return loaded;
}

HostTensor DialectCheckpoint::load_dense(std::string_view name) const {
  const DialectTensor& tensor = at(name);
  return tensor.plain() ? read_part(tensor.parts[0]) : load(name).decode();
}

}  // namespace mantissa
