#include "torch/quantize/module_parameters.h"

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
  // named_modules() lists a shared module once, under its first name.
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
