#include "torch/tensor/packed_int8_rule.h"

namespace mantissa {

using at::Tensor;

Int8Call::Int8Call(Int8Activation how, c10::ScalarType dtype)
    : activation(std::move(how)), out_dtype(dtype) {
  if (activation.formula == RowFormula::Torchao) return;
  out_dtype = at::kFloat;
  if (activation.scale.defined()) {
    activation.scale = activation.scale.to(dtype).to(at::kFloat);
  }
}

Int8Input PackedInt8Rule::input(const Tensor& x) const {
  return {x, Int8Call(activation_, x.scalar_type()).activation};
}

Tensor PackedInt8Rule::linear(const Int8Input& input,
                              c10::ScalarType dtype,
                              const Tensor& bias) const {
  return input.linear(weight_, bias, Int8Call(activation_, dtype).out_dtype)
      .to(dtype);
}

Tensor PackedInt8Rule::linear(const Tensor& x,
                              const QuantizedTensorImpl&,
                              const Tensor& bias) const {
  return linear(input(x), x.scalar_type(), bias);
}

bool PackedInt8Rule::same_input(const PackedInt8Rule& other) const {
  const Int8Activation& a = activation_;
  const Int8Activation& b = other.activation_;
  return !a.scale.defined() && !b.scale.defined() &&
         a.per_tensor == b.per_tensor && a.mapping == b.mapping &&
         a.reduce_range == b.reduce_range && a.formula == b.formula;
}

}  // namespace mantissa
