#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <ATen/MemoryOverlap.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/checkpoint/checkpoint_weights.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using torch::nn::Module;

std::string words(DType dtype, const Shape& shape) {
  return std::string(name(dtype)) + " " + to_string(shape);
}

// "" or what differs between two encodings, field by field.
std::string difference(const Encoding& module, const Encoding& file) {
  const auto pair = [](const auto& what, const auto& a, const auto& b) {
    return c10::str(what, "expected ", a, " (the module's), found ", b);
  };
  if (module.format_name() != file.format_name()) {
    return pair(
        "", std::string(module.format_name()), std::string(file.format_name()));
  }
  const std::vector<FieldLayout> ours = module.fields();
  const std::vector<FieldLayout> theirs = file.fields();
  for (const FieldLayout& field : ours) {
    const auto other =
        std::ranges::find(theirs, field.name, &FieldLayout::name);
    const std::string found =
        other == theirs.end() ? "none" : words(other->dtype, other->shape);
    const std::string expected = words(field.dtype, field.shape);
    if (found != expected) {
      return pair("field " + field.name + ": ", expected, found);
    }
  }
  for (const FieldLayout& field : theirs) {
    if (std::ranges::find(ours, field.name, &FieldLayout::name) == ours.end()) {
      return pair("field " + field.name + ": ",
                  "none",
                  words(field.dtype, field.shape));
    }
  }
  if (module.attributes_json() != file.attributes_json()) {
    return pair(
        "attributes: ", module.attributes_json(), file.attributes_json());
  }
  return {};
}

// By their bytes, so that NaN is equal to itself. Both as read from the files:
// contiguous, on the CPU.
bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         (a.nbytes() == 0 ||
          std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0);
}

bool same_values(const at::Tensor& a, const at::Tensor& b) {
  if (is_wrapped(a) != is_wrapped(b)) return false;
  if (!is_wrapped(a)) return same_bytes(a, b);
  if (!difference(*encoding_of(a), *encoding_of(b)).empty()) return false;
  const std::vector<at::Tensor> ours = fields_of(a);
  const std::vector<at::Tensor> theirs = fields_of(b);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    if (!same_bytes(ours[i], theirs[i])) return false;
  }
  return true;
}

// A value on its way into the module.
struct Incoming {
  Parameter parameter;  // of a buffer: no places
  at::Tensor value;
  bool replaces = false;  // put at the places; else copied into the tensor
};

class Loader {
 public:
  Loader(Module& module,
         const std::filesystem::path& path,
         const LoadOptions& options)
      : module_(module),
        path_(path),
        options_(options),
        weights_(path, {.open = options.open}) {}

  LoadReport run() {
    for (Parameter& parameter : parameters_of(module_)) {
      take(std::move(parameter));
    }
    for (const Buffer& buffer : buffers_of(module_)) take(buffer);
    for (const CheckpointWeight& weight : weights_.weights()) {
      if (!weight.tied && !used_.contains(weight.name)) {
        report_.unexpected.push_back(weight.name);
      }
    }
    if (options_.strict) require_complete();
    commit();
    return std::move(report_);
  }

 private:
  [[noreturn]] void fail(const std::string& name,
                         const std::string& what) const {
    TORCH_CHECK_VALUE(
        false, "load_checkpoint: ", path_.string(), ": ", name, ": ", what);
  }

  std::string renamed(const std::string& name) const {
    return options_.rename ? options_.rename(name) : name;
  }

  // The weights that the files have for a tensor of the module: one of each of
  // its names, a tied head only where there is nothing else.
  std::vector<const CheckpointWeight*> find(
      const std::vector<std::string>& names) {
    std::vector<const CheckpointWeight*> found;
    const CheckpointWeight* tied = nullptr;
    for (const std::string& name : names) {
      const CheckpointWeight* weight = weights_.find(renamed(name));
      if (weight == nullptr) continue;
      if (weight->tied) {
        tied = weight;
      } else {
        found.push_back(weight);
      }
    }
    if (found.empty() && tied != nullptr) found.push_back(tied);
    for (const CheckpointWeight* weight : found) used_.insert(weight->name);
    return found;
  }

  void take(Parameter parameter) {
    const std::string name = parameter.places.front().name();
    const auto found = find(parameter.names());
    if (found.empty()) {
      report_.missing.push_back(name);
      return;
    }
    at::Tensor value = read(name, parameter.tensor, *found.front());
    require_equal(name, found);
    const bool quantized = is_wrapped(value);
    (quantized ? report_.quantized : report_.plain).push_back(name);
    const at::Tensor& old = parameter.tensor;
    // An inference tensor cannot be written to outside InferenceMode.
    const bool frozen = old.is_inference() && !c10::InferenceMode::is_enabled();
    const bool has_fields = is_wrapped(old) && !is_training_tensor(old);
    // Neither a transposed view nor a packed weight takes fields.
    const bool closed =
        has_fields && (quantized_impl(old)->state().transposed ||
                       quantized_impl(old)->state().packed != nullptr);
    const bool replaces =
        quantized != has_fields || old.is_meta() || frozen || closed;
    if (!replaces) check_writable(name, old);
    if (replaces && is_training_tensor(old)) value = wrap_copy(old, value);
    if (!quantized && replaces && old.requires_grad()) {
      value.set_requires_grad(true);
    }
    if (replaces && parameter.held_elsewhere()) {
      report_.registry_only.push_back(name);
    }
    incoming_.push_back({std::move(parameter), std::move(value), replaces});
  }

  void take(const Buffer& buffer) {
    const std::string& name = buffer.names.front();
    const auto found = find(buffer.names);
    if (found.empty()) {
      report_.missing.push_back(name);
      return;
    }
    if (buffer.tensor.is_meta()) {
      fail(name, "a buffer on the meta device; move the module first");
    }
    if (buffer.tensor.is_inference() && !c10::InferenceMode::is_enabled()) {
      fail(
          name,
          "a buffer that was made in InferenceMode; load in InferenceMode too");
    }
    check_writable(name, buffer.tensor);
    at::Tensor value = read(name, buffer.tensor, *found.front());
    if (is_wrapped(value)) fail(name, "a buffer cannot be quantized");
    require_equal(name, found);
    report_.plain.push_back(name);
    incoming_.push_back({{buffer.tensor, {}}, std::move(value)});
  }

  // One tensor of the module cannot hold two.
  void require_equal(const std::string& name,
                     const std::vector<const CheckpointWeight*>& found) const {
    for (std::size_t i = 1; i < found.size(); ++i) {
      if (same_values(weights_.read(*found[0]), weights_.read(*found[i]))) {
        continue;
      }
      fail(name,
           "it is tied in the module, but " + found[0]->name + " and " +
               found[i]->name +
               " differ; give the module two tensors to load both");
    }
  }

  void check_writable(const std::string& name, const at::Tensor& old) const {
    if (is_wrapped(old)) return;
    if (old.layout() != c10::kStrided) {
      fail(name,
           c10::str("expected a dense tensor, the module's has layout ",
                    old.layout()));
    }
    if (at::has_internal_overlap(old) == at::MemOverlap::Yes) {
      fail(name,
           "its elements share memory, as after expand(); give the module a "
           "contiguous tensor");
    }
  }

  // The weight as the module's tensor takes it.
  at::Tensor read(const std::string& name,
                  const at::Tensor& old,
                  const CheckpointWeight& weight) const {
    if (old.sizes() != c10::IntArrayRef(weight.shape)) {
      fail(name,
           c10::str("expected ",
                    to_string(shape_of(old)),
                    " (the module's), found ",
                    to_string(weight.shape)));
    }
    check_form(name, old, weight);
    const c10::ScalarType dtype = old.scalar_type();
    if (weight.dtype != dtype_of(dtype) &&
        options_.other_dtype == OtherDType::Refuse) {
      fail(name,
           c10::str("expected ",
                    std::string(mantissa::name(dtype_of(dtype))),
                    " (the module's), found ",
                    std::string(mantissa::name(weight.dtype)),
                    "; OtherDType::Convert casts it"));
    }
    const at::Tensor value = weights_.read(weight);
    const c10::Device device =
        old.is_meta() ? options_.device.value_or(c10::Device(c10::kCPU))
                      : old.device();
    return value.to(at::TensorOptions(dtype).device(device));
  }

  // Whether the two are both plain, or quantized in a way that fits.
  void check_form(const std::string& name,
                  const at::Tensor& old,
                  const CheckpointWeight& weight) const {
    const QuantizedTensorImpl* impl = quantized_impl(old);
    if (impl == nullptr) return;
    if (impl->training()) {
      if (weight.encoding == nullptr) return;
      fail(name,
           "expected plain values for a training weight, found " +
               weight.stored);
    }
    if (weight.encoding == nullptr) {
      fail(name,
           "expected " + std::string(impl->state().encoding->format_name()) +
               " (the module's), found plain " + weight.stored +
               "; dequantize_(module) first, then quantize_ again");
    }
    const std::string what =
        difference(*impl->state().encoding, *weight.encoding);
    if (!what.empty()) {
      fail(name, what + "; dequantize_(module) makes room for any format");
    }
  }

  void require_complete() const {
    std::string wrong;
    const auto add = [&wrong](const auto& names, const char* what) {
      for (const std::string& name : names) {
        wrong += "\n" + name + ": " + what;
      }
    };
    add(report_.missing, "expected by the module, not found in the files");
    add(report_.unexpected, "found in the files, not in the module");
    add(report_.registry_only,
        "somebody still holds the plain tensor, such as a member of the "
        "module's class; mantissa::replace_parameter(module, member, tensor) "
        "replaces a member");
    TORCH_CHECK_VALUE(wrong.empty(),
                      "load_checkpoint: ",
                      path_.string(),
                      ": nothing was changed (LoadOptions::strict = false "
                      "loads what fits):",
                      wrong);
  }

  // Shapes, dtypes, devices and memory have been checked: nothing here throws.
  void commit() {
    const c10::AutoGradMode no_grad(false);
    for (Incoming& in : incoming_) {
      if (!in.replaces) {
        in.parameter.tensor.copy_(in.value);
        continue;
      }
      for (const ParameterPlace& place : in.parameter.places) {
        place.put(in.value);
      }
    }
  }

  Module& module_;
  const std::filesystem::path& path_;
  const LoadOptions& options_;
  CheckpointWeights weights_;
  std::set<std::string> used_;
  std::vector<Incoming> incoming_;
  LoadReport report_;
};

}  // namespace

LoadReport load_checkpoint(Module& module,
                           const std::filesystem::path& path,
                           const LoadOptions& options) {
  return with_torch_errors([&] { return Loader(module, path, options).run(); });
}

}  // namespace mantissa
