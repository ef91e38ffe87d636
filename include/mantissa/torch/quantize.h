#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

#include <mantissa/configs/config.h>
#include <mantissa/core/api.h>
#include <mantissa/torch/quantized_tensor.h>

namespace mantissa {

/// What quantize_() did with one parameter.
enum class ParameterAction {
  Quantized,     ///< replaced by a quantized tensor
  Kept,          ///< no rule applies, or a rule keeps it
  Skipped,       ///< a config applies, but does not fit
  RegistryOnly,  ///< replaced, but somebody still holds the plain tensor
};

/// "quantized", "kept", "skipped", "registry only".
MANTISSA_API std::string_view name(ParameterAction action);

/// One parameter of the module tree, under the first of its names.
struct QuantizedParameter {
  std::string name;
  ParameterAction action = ParameterAction::Kept;
  std::string reason;                  ///< never empty
  std::string format;                  ///< of Quantized and RegistryOnly
  std::vector<std::string> tied = {};  ///< its other names
  std::int64_t bytes_before = 0;
  std::int64_t bytes_after = 0;
};

/// What quantize_() did, parameter by parameter, in the order of the modules.
struct QuantizeReport {
  std::vector<QuantizedParameter> parameters;

  MANTISSA_API std::int64_t count(ParameterAction action) const;
  /// A line for each parameter that is not kept, and the sums.
  MANTISSA_API std::string text() const;
};

/// How quantize_() chooses and what it refuses.
struct QuantizeOptions {
  /// Which modules a plain config and `_default` take, by module and name;
  /// empty: torch::nn::Linear, without the out_proj of MultiheadAttention.
  /// Rules with names reach every parameter.
  std::function<bool(const torch::nn::Module& module, const std::string& name)>
      filter = {};
  /// Throw where a parameter would be skipped or replaced in the registry only,
  /// before anything is changed.
  bool strict = false;
  /// Where quantized parameters go; empty: they stay where the weight was.
  std::optional<c10::Device> device = {};
};

/// Replaces the weights of a module tree by quantized tensors, in place: by the
/// names of a FqnToConfig, with the tool's precedence, or by one config for
/// every Linear, as torchao's quantize_. Shared modules are visited
/// once, tied parameters stay tied, what is quantized already is kept with that
/// reason. All or nothing: when it throws (c10::ValueError), nothing has
/// changed. An optimizer built before holds the old tensors: build it after.
/// The new parameters require no gradient.
MANTISSA_API QuantizeReport quantize_(torch::nn::Module& module,
                                      ConfigPtr config,
                                      const QuantizeOptions& options = {});

template <std::derived_from<Config> T>
QuantizeReport quantize_(torch::nn::Module& module,
                         T config,
                         const QuantizeOptions& options = {}) {
  return quantize_(
      module, std::make_shared<const T>(std::move(config)), options);
}

/// The way back: every quantized parameter becomes a plain tensor with its
/// dequantized values, without gradient; a training weight becomes its
/// high-precision values. Returns how many were replaced.
MANTISSA_API std::int64_t dequantize_(torch::nn::Module& module);

/// Puts `tensor` where `member`, a direct parameter of the module, was: in the
/// registry and in the member itself, which registry replacement alone cannot
/// reach. The parameter is found by identity; throws c10::ValueError where the
/// module has none such.
MANTISSA_API void replace_parameter(torch::nn::Module& module,
                                    at::Tensor& member,
                                    at::Tensor tensor);

/// A deep copy of a module that holds quantized weights, which
/// torch::nn::Module::clone() refuses.
MANTISSA_API std::shared_ptr<torch::nn::Module> clone_module(
    torch::nn::Module& module);

}  // namespace mantissa
