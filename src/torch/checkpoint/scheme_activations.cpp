#include "torch/checkpoint/scheme_activations.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/dialects/compressed_tensors.h"
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

constexpr const char* kRemedy =
    "mantissa convert --format plain gives the weights without them";

// A group of activations alone.
bool is_alone(const CompressedGroup* group) {
  return group != nullptr && !group->weights &&
         !(group->spec.input_activations.empty() &&
           group->spec.output_activations.empty());
}

[[noreturn]] void fail_alone(const std::string& who,
                             const CompressedGroup& group) {
  throw Error(
      ErrorKind::Usage,
      fmt::format("{}: config_groups: {} of a scheme whose weights are null: "
                  "activations are quantized in products with quantized "
                  "weights; {}",
                  who,
                  group.spec.input_activations.empty() ? "output_activations"
                                                       : "input_activations",
                  kRemedy));
}

bool may_be_linear(const LoadingTensor& tensor) {
  switch (tensor.role) {
    case TensorRole::Linear:
    case TensorRole::Experts:
    case TensorRole::Head:
    case TensorRole::Router:
      return true;
    case TensorRole::Unknown:
      return tensor.shape.size() == 2;
    default:
      return false;
  }
}

bool has_products(const LoadingTensor& tensor) {
  return may_be_linear(tensor) || tensor.role == TensorRole::Embedding;
}

// "a.self_attn" of "a.self_attn.q_proj"; "" where that is no attention.
std::string_view attention_of(std::string_view module) {
  const std::string_view parent =
      module.substr(0, std::min(module.rfind('.'), module.size()));
  const bool attention = parent != module && (parent.ends_with("attn") ||
                                              parent.ends_with("attention"));
  return attention ? parent : std::string_view();
}

// The classes of modules, other than Linear, are not in the files.
void refuse_classes_alone(const CompressedGroups& groups) {
  for (const CompressedGroup& group : groups.all()) {
    if (!is_alone(&group)) continue;
    for (const std::string& target : group.targets) {
      const bool is_class = !target.empty() && target[0] >= 'A' &&
                            target[0] <= 'Z' && target.find('.') == target.npos;
      if (is_class && target != "Linear") {
        fail_alone(fmt::format("target {}", quoted_name(target)), group);
      }
    }
  }
}

void refuse_module_alone(const CompressedGroups& groups,
                         const LoadingTensor& tensor,
                         std::string_view name) {
  const std::string_view module = compressed_module(name);
  if (module.empty()) return;
  if (has_products(tensor) && !groups.ignores(module)) {
    const CompressedGroup* group =
        may_be_linear(tensor) ? groups.find(module) : groups.named(module);
    if (is_alone(group)) {
      fail_alone(fmt::format("tensor {}", quoted_name(name)), *group);
    }
  }
  const std::string_view attention = attention_of(module);
  if (attention.empty() || groups.ignores(attention)) return;
  const CompressedGroup* group = groups.named(attention);
  if (is_alone(group)) {
    fail_alone(fmt::format("module {}", quoted_name(attention)), *group);
  }
}

// input_scale, and input_zero_point where codes are asymmetric, as the file has
// them; compressed-tensors takes no zero point of symmetric codes.
std::vector<FieldLayout> input_fields(const CheckpointSource& stored,
                                      const DialectTensor& tensor,
                                      bool symmetric) {
  std::vector<FieldLayout> out;
  for (const std::string field : kInputFields) {
    const bool is_scale = field == kInputFields[0];
    if (!is_scale && symmetric) break;
    const std::string name = input_name(tensor, field);
    const std::size_t index = index_of(stored, name);
    if (index == stored.tensors().size()) {
      fail(ErrorKind::Input,
           tensor.name,
           fmt::format("config_groups: input_activations: {} is false, but {} "
                       "is not in the files",
                       is_scale ? "dynamic" : "symmetric",
                       quoted_name(name)));
    }
    const SourceTensor& found = stored.tensors()[index];
    const bool number = is_high_precision(found.dtype);
    const bool fits = number || (!is_scale && found.dtype == DType::Int8);
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
  return out;
}

// A scale divides activations; a zero point is one of their codes.
void check_input_value(const std::string& name,
                       const std::string& field,
                       const HostTensor& stored) {
  const HostTensor value = converted(stored.view(), DType::Float32);
  const float found = value.as<float>()[0];
  const bool is_scale = field == kInputFields[0];
  const bool fits =
      is_scale ? std::isfinite(found) && found > 0
               : found >= -128 && found <= 127 && found == std::trunc(found);
  if (fits) return;
  fail(ErrorKind::Input,
       name,
       fmt::format("expected {} of static activations, got {}",
                   is_scale ? "a finite scale above 0"
                            : "a whole zero point from -128 to 127",
                   found));
}

}  // namespace

std::shared_ptr<const Encoding> runnable_encoding(
    const CheckpointSource& stored, const DialectTensor& tensor) {
  const CompressedEncoding* own = compressed(tensor);
  if (own == nullptr) return tensor.encoding;
  const auto how = activations_of(tensor);
  if (!how || how->dynamic) return tensor.encoding;
  CompressedSpec spec = own->spec();
  spec.input_fields = input_fields(stored, tensor, how->symmetric);
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
    check_input_value(
        input_name(tensor, fields[i].name), fields[i].name, value);
    own.fields.push_back(std::move(value));
  }
  return own;
}

void refuse_schemes_without_products(const DecodedSource& source,
                                     const LoadingNames& names) {
  const auto quantization =
      compressed_quantization(source.stored().config_json());
  if (quantization.is_null()) return;
  const auto cache = quantization.find("kv_cache_scheme");
  if (cache != quantization.end() && !cache->is_null()) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("config.json: quantization_config: kv_cache_scheme is set: "
                    "keys and values are not quantized by a checkpoint's "
                    "scales; {}",
                    kRemedy));
  }
  const CompressedGroups groups(quantization);
  if (std::ranges::none_of(groups.all(), [](const CompressedGroup& group) {
        return is_alone(&group);
      })) {
    return;
  }
  refuse_classes_alone(groups);
  for (const LoadingTensor& tensor : names.tensors) {
    for (const Piece& piece : tensor.pieces) {
      refuse_module_alone(
          groups,
          tensor,
          tensor.tied ? tensor.name : source.tensors()[piece.source].name);
    }
  }
}

void refuse_scheme_activations(const DialectTensor& tensor,
                               const std::string& why) {
  const CompressedEncoding* own = compressed(tensor);
  if (own == nullptr) return;
  const CompressedSpec& spec = own->spec();
  if (spec.input_activations.empty() && spec.output_activations.empty()) return;
  fail(ErrorKind::Usage,
       tensor.name,
       fmt::format("config_groups: input_activations: {} {}", why, kRemedy));
}

}  // namespace mantissa
