#include <mantissa/torch/lowbit.h>

#include <utility>

#include "torch/quantize/module_parameters.h"
#include "torch/tensor/lowbit_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {

std::vector<PackedWeight> pack_lowbit_(torch::nn::Module& module,
                                       Int8Compute compute) {
  std::vector<PackedWeight> out;
  std::vector<std::pair<Parameter, at::Tensor>> ready;
  if (compute == Int8Compute::None) return out;
  for (const Parameter& parameter : parameters_of(module)) {
    if (!is_wrapped(parameter.tensor)) continue;
    PackedWeight& report = out.emplace_back();
    report.name = parameter.places.front().name();
    report.refusal = packing_refusal(parameter.tensor, compute);
    if (!report.refusal.empty()) continue;
    const at::Tensor packed = packed_weight(parameter.tensor, compute);
    report.bytes = quantized_impl(packed)->state().packed->bytes();
    ready.emplace_back(parameter, packed);
  }
  // All or nothing.
  for (const auto& [parameter, packed] : ready) {
    for (const ParameterPlace& place : parameter.places) place.put(packed);
  }
  return out;
}

}  // namespace mantissa
