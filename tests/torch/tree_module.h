#pragma once

#include <memory>
#include <string>

#include <torch/torch.h>

namespace mantissa::tests {

/// A module tree made from dotted names.
class TreeModule : public torch::nn::Module {
 public:
  /// Registers a parameter under a name such as "layers.0.weight".
  void add(const std::string& name, const at::Tensor& tensor) {
    const auto dot = name.find('.');
    if (dot == std::string::npos) {
      register_parameter(name, tensor, tensor.is_floating_point());
      return;
    }
    const std::string head = name.substr(0, dot);
    if (!named_children().contains(head)) {
      register_module(head, std::make_shared<TreeModule>());
    }
    std::dynamic_pointer_cast<TreeModule>(named_children()[head])
        ->add(name.substr(dot + 1), tensor);
  }
};

}  // namespace mantissa::tests
