#include "torch/checkpoint/scheme_activations.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "formats/compressed_activations.h"
#include "formats/compressed_tensor.h"

namespace mantissa {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr const char* kInputFields[] = {"input_scale", "input_zero_point"};

const CompressedEncoding* compressed(const DialectTensor& tensor) {
  return dynamic_cast<const CompressedEncoding*>(tensor.encoding.get());
}

[[noreturn]] void fail(ErrorKind kind,
                       const std::string& tensor,
                       const std::string& what) {
  throw Error(kind, fmt::format("tensor {}: {}", quoted_name(tensor), what));
}

std::string input_name(const DialectTensor& tensor, std::string_view field) {
  return fmt::format("{}.{}",
                     tensor.name.substr(0, tensor.name.size() - kWeight.size()),
                     field);
}

std::size_t index_of(const CheckpointSource& stored, const std::string& name) {
  return static_cast<std::size_t>(
      std::ranges::find(stored.tensors(), name, &SourceTensor::name) -
      stored.tensors().begin());
}

std::optional<CompressedActivations> activations_of(
    const DialectTensor& tensor) {
  try {
    const auto how = compressed_activations(compressed(tensor)->spec());
    const std::int64_t k = tensor.encoding->shape().back();
    if (how && how->strategy == ActivationStrategy::Group &&
        k % how->group_size != 0) {
      throw Error(ErrorKind::Usage,
                  fmt::format("config_groups: input_activations.group_size is "
                              "{}, which does not divide K = {}",
                              how->group_size,
                              k));
    }
    return how;
  } catch (const Error& error) {
    fail(error.kind(), tensor.name, error.what());
  }
}

// input_scale and input_zero_point as the file has them.
std::vector<FieldLayout> input_fields(const CheckpointSource& stored,
                                      const DialectTensor& tensor) {
  std::vector<FieldLayout> out;
  for (const std::string field : kInputFields) {
    const std::string name = input_name(tensor, field);
    const std::size_t index = index_of(stored, name);
    if (index == stored.tensors().size()) continue;
    const SourceTensor& found = stored.tensors()[index];
    const bool number = is_high_precision(found.dtype);
    const bool fits = field == kInputFields[0]
                          ? number
                          : number || found.dtype == DType::Int8;
    if (found.shape != Shape{1} || !fits) {
      fail(ErrorKind::Input,
           name,
           fmt::format("expected one value, [1], of static activations, got "
                       "{} {}",
                       safetensors_name(found.dtype),
                       to_string(found.shape)));
    }
    out.push_back({field, found.dtype, found.shape});
  }
  if (out.empty() || out.front().name != kInputFields[0]) {
    fail(ErrorKind::Input,
         tensor.name,
         fmt::format("config_groups: input_activations.dynamic is false, but "
                     "{} is not in the files",
                     quoted_name(input_name(tensor, kInputFields[0]))));
  }
  return out;
}

}  // namespace

std::shared_ptr<const Encoding> runnable_encoding(
    const CheckpointSource& stored, const DialectTensor& tensor) {
  const CompressedEncoding* own = compressed(tensor);
  if (own == nullptr) return tensor.encoding;
  const auto how = activations_of(tensor);
  if (!how || how->dynamic) return tensor.encoding;
  CompressedSpec spec = own->spec();
  spec.input_fields = input_fields(stored, tensor);
  return make_compressed_encoding(own->shape(), own->dtype(), spec);
}

EncodedTensor runnable_fields(const CheckpointSource& stored,
                              const DialectTensor& tensor,
                              EncodedTensor own) {
  own.encoding = runnable_encoding(stored, tensor);
  const std::vector<FieldLayout> fields = own.encoding->fields();
  for (std::size_t i = own.fields.size(); i < fields.size(); ++i) {
    HostTensor value(fields[i].dtype, fields[i].shape);
    stored.read_rows(index_of(stored, input_name(tensor, fields[i].name)),
                     0,
                     1,
                     value.mutable_view().bytes());
    own.fields.push_back(std::move(value));
  }
  return own;
}

void refuse_scheme_activations(const std::string& name,
                               const DialectTensor& tensor) {
  const CompressedEncoding* own = compressed(tensor);
  if (own == nullptr) return;
  const CompressedSpec& spec = own->spec();
  if (spec.input_activations.empty() && spec.output_activations.empty()) return;
  fail(ErrorKind::Usage,
       tensor.name,
       fmt::format("config_groups: input_activations: it is loaded as a part "
                   "of {}, whose products run without quantized activations; "
                   "supported are linear layers, and experts whose scheme has "
                   "none. mantissa convert --format plain gives the weights "
                   "without them",
                   printable(name)));
}

}  // namespace mantissa
