#include "torch/quantize/module_parameters.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

namespace mantissa {
namespace {

using torch::nn::Module;

// The registry is protected, and register_parameter() refuses a known name.
struct Access : Module {
  static auto registry() { return &Access::parameters_; }
};

template <class T>
at::Tensor* member_of(Module& module, const std::string& key) {
  auto* typed = dynamic_cast<T*>(&module);
  if (typed == nullptr) return nullptr;
  if (key == "weight") return &typed->weight;
  if constexpr (requires { typed->bias; }) {
    if (key == "bias") return &typed->bias;
  }
  return nullptr;
}

template <class... T>
at::Tensor* first_member(Module& module, const std::string& key) {
  at::Tensor* found = nullptr;
  ((found = found != nullptr ? found : member_of<T>(module, key)), ...);
  return found;
}

}  // namespace

WeightKind ParameterPlace::kind() const {
  if (key != "weight") return WeightKind::Other;
  if (dynamic_cast<torch::nn::LinearImpl*>(module) != nullptr) {
    return WeightKind::Linear;
  }
  return dynamic_cast<torch::nn::EmbeddingImpl*>(module) != nullptr
             ? WeightKind::Embedding
             : WeightKind::Other;
}

at::Tensor& ParameterPlace::entry() const {
  return (module->*(Access::registry()))[key];
}

at::Tensor* ParameterPlace::member() const {
  using namespace torch::nn;  // NOLINT: a list of its classes
  at::Tensor* found = first_member<LinearImpl,
                                   BilinearImpl,
                                   EmbeddingImpl,
                                   EmbeddingBagImpl,
                                   Conv1dImpl,
                                   Conv2dImpl,
                                   Conv3dImpl,
                                   ConvTranspose1dImpl,
                                   ConvTranspose2dImpl,
                                   ConvTranspose3dImpl>(*module, key);
  // A subclass may register another tensor under the name.
  if (found == nullptr || !found->is_same(entry())) return nullptr;
  return found;
}

void ParameterPlace::put(const at::Tensor& tensor) const {
  at::Tensor* typed = member();
  entry() = tensor;
  if (typed != nullptr) *typed = tensor;
}

bool Parameter::held_elsewhere() const {
  const bool all_known = std::ranges::all_of(
      places, [](const auto& place) { return place.member() != nullptr; });
  if (all_known) return false;
  std::size_t known = 1;                // ours
  std::set<const at::Tensor*> entries;  // a shared module has each place twice
  for (const ParameterPlace& place : places) {
    if (!entries.insert(&place.entry()).second) continue;
    known += place.member() == nullptr ? 1 : 2;
  }
  return tensor.use_count() > known;
}

std::vector<std::string> Parameter::names() const {
  std::vector<std::string> names;
  for (const ParameterPlace& place : places) names.push_back(place.name());
  return names;
}

std::vector<Buffer> buffers_of(Module& root) {
  std::vector<Buffer> buffers;
  std::unordered_map<const c10::TensorImpl*, std::size_t> known;
  const auto add = [&](const Module& module, const std::string& prefix) {
    for (const auto& item : module.named_buffers(/*recurse=*/false)) {
      const at::Tensor& tensor = item.value();
      if (!tensor.defined()) continue;
      const auto [entry, fresh] =
          known.emplace(tensor.unsafeGetTensorImpl(), buffers.size());
      if (fresh) buffers.push_back({tensor, {}});
      buffers[entry->second].names.push_back(
          prefix.empty() ? item.key() : prefix + "." + item.key());
    }
  };
  add(root, "");
  for (const auto& item : root.named_modules("", /*include_self=*/false)) {
    add(*item.value(), item.key());
  }
  return buffers;
}

std::vector<ParameterPlace> places_of(Module& module,
                                      const std::string& module_name) {
  std::vector<ParameterPlace> places;
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    if (item.value().defined()) {
      places.push_back({&module, module_name, item.key()});
    }
  }
  return places;
}

std::vector<Parameter> parameters_of(Module& root) {
  std::vector<ParameterPlace> places = places_of(root, "");
  for (const auto& item : root.named_modules("", /*include_self=*/false)) {
    for (ParameterPlace& place : places_of(*item.value(), item.key())) {
      places.push_back(std::move(place));
    }
  }
  std::vector<Parameter> parameters;
  std::unordered_map<const c10::TensorImpl*, std::size_t> known;
  for (ParameterPlace& place : places) {
    const at::Tensor& tensor = place.entry();
    const auto [entry, fresh] =
        known.emplace(tensor.unsafeGetTensorImpl(), parameters.size());
    if (fresh) parameters.push_back({tensor, {}});
    parameters[entry->second].places.push_back(std::move(place));
  }
  return parameters;
}

}  // namespace mantissa
