#include "torch/tensor/packed_int8_rule.h"

#include "torch/ops/grouped_linear_lowbit.h"
#include "torch/tensor/expert_matrices.h"

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

PackedInt8Rule::PackedInt8Rule(Int8Weight weight, Int8Activation activation)
    : ProductRule(weight.encoding()),
      weight_(std::move(weight)),
      activation_(std::move(activation)) {
  const Shape& shape = weight_.encoding().shape();
  if (shape.size() != 3) return;
  const auto of_matrices = MatrixActivations::of(
      activation_.scale, activation_.zero_point, shape[0]);
  activation_.scale = of_matrices.scale;
  activation_.zero_point = of_matrices.zero_point;
  each_ = of_matrices.each;
}

Int8Input PackedInt8Rule::input(const Tensor& x) const {
  return {x, Int8Call(activation_, x.scalar_type()).activation};
}

void PackedInt8Rule::take_input(const Tensor& x, Int8Input& out) const {
  out.take(x, Int8Call(activation_, x.scalar_type()).activation);
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

Tensor PackedInt8Rule::grouped_linear(
    const Tensor& x, const std::vector<std::int64_t>& ends) const {
  return grouped_product(
      x, weight_.encoding().shape(), ends, [&](const Tensor& rows) {
        const ExpertMatrices matrices(ends, each_);
        Int8Call call(activation_, x.scalar_type());
        call.activation.scale = matrices.values(call.activation.scale);
        call.activation.zero_point =
            matrices.values(call.activation.zero_point);
        const Int8Input input(
            matrices.rows(rows), call.activation, matrices.ends());
        return matrices.joined(input.linear(weight_, {}, call.out_dtype))
            .to(x.scalar_type());
      });
}

bool PackedInt8Rule::same_input(const PackedInt8Rule& other) const {
  const Int8Activation& a = activation_;
  const Int8Activation& b = other.activation_;
  return !a.scale.defined() && !b.scale.defined() &&
         a.per_tensor == b.per_tensor && a.mapping == b.mapping &&
         a.reduce_range == b.reduce_range && a.formula == b.formula;
}

}  // namespace mantissa
