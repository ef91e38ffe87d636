#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

namespace mantissa {

/// What a parameter is to the module that has it.
enum class WeightKind { Linear, Embedding, Other };

/// One place in a module tree where a parameter is registered.
struct ParameterPlace {
  torch::nn::Module* module = nullptr;
  std::string module_name;  ///< "" for the root
  std::string key;          ///< "weight"

  std::string name() const {
    return module_name.empty() ? key : module_name + "." + key;
  }
  /// Whether it is the weight of a Linear or an Embedding.
  WeightKind kind() const;
  /// The registry's entry.
  at::Tensor& entry() const;
  /// The member that forward() uses, for the module classes of torch; null
  /// where it is not known.
  at::Tensor* member() const;
  /// Writes the registry, and the member where it is known.
  void put(const at::Tensor& tensor) const;
};

/// One parameter and every place that holds it; the first one names it.
struct Parameter {
  at::Tensor tensor;
  std::vector<ParameterPlace> places;

  std::vector<std::string> names() const;
  /// True when put() at all places would leave the old tensor in use: more
  /// handles than the registry's, this one and those of known members. Somebody
  /// beside the module (a graph, an optimizer) counts only where a place has no
  /// known member.
  bool held_elsewhere() const;
};

/// The defined parameters of a module tree, in its order. A tied parameter is
/// one, and so is that of a module that stands in the tree under several names.
std::vector<Parameter> parameters_of(torch::nn::Module& root);

/// A defined buffer of a module tree and all of its names; the first one names
/// it.
struct Buffer {
  at::Tensor tensor;
  std::vector<std::string> names;
};

/// The buffers of a module tree, in its order; one that is registered in
/// several places, or in a shared module, is one.
std::vector<Buffer> buffers_of(torch::nn::Module& root);

/// The places of one module's own parameters.
std::vector<ParameterPlace> places_of(torch::nn::Module& module,
                                      const std::string& module_name);

}  // namespace mantissa
