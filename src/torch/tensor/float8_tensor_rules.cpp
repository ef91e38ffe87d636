#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>

#include "formats/float8_tensor.h"
#include "torch/ops/linear_float8.h"
#include "torch/tensor/product_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using at::Tensor;

// torchao's sequence for Float8Tensor.
class Float8Rule final : public ProductRule {
 public:
  Float8Rule(const Encoding& encoding, Float8Spec spec)
      : ProductRule(encoding), spec_(std::move(spec)) {}

  Tensor linear(const Tensor& x,
                const QuantizedTensorImpl& w,
                const Tensor& bias) const override {
    if (spec_.act_quant_kwargs) {
      const auto& fields = w.state().fields;
      return linear_float8(x,
                           fields[0],
                           fields[1],
                           bias,
                           *spec_.act_quant_kwargs,
                           spec_.mm_config.value_or(Float8MMConfig{}));
    }
    const Tensor y = at::matmul(x, w.stored_values().to(x.scalar_type()).t());
    return bias.defined() ? (y + bias).to(x.scalar_type()) : y;
  }

 private:
  Float8Spec spec_;
};

}  // namespace

std::shared_ptr<ProductRule> float8_tensor_rule(const Encoding& encoding) {
  const Float8Parameters* parameters = float8_parameters(encoding);
  if (parameters == nullptr) return nullptr;
  return std::make_shared<Float8Rule>(encoding, parameters->spec);
}

}  // namespace mantissa
