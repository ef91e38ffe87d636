#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include "formats/int4_tensor.h"
#include "torch/tensor/product_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using at::Tensor;

// Float8 activations as MSLK makes them, a float32 scale for each row, at least
// 1 / (512 * 448); sums in float32.
class Int4Float8Rule final : public ProductRule {
 public:
  using ProductRule::ProductRule;

  Tensor linear(const Tensor& x,
                const QuantizedTensorImpl& w,
                const Tensor& bias) const override {
    constexpr double kMax = 448.0;
    constexpr double kLeast = 1.0 / 512;
    const Tensor input = pre_scaled(x, w).to(at::kFloat);
    const Tensor scale = input.abs().amax({-1}, true).clamp_min(kLeast) / kMax;
    const Tensor codes =
        (input / scale).clamp(-kMax, kMax).to(at::kFloat8_e4m3fn);
    Tensor y =
        at::mm(codes.to(at::kFloat), w.stored_values().to(at::kFloat).t()) *
        scale;
    if (bias.defined()) y += bias;
    return y.to(x.scalar_type());
  }
};

}  // namespace

std::shared_ptr<ProductRule> int4_tensor_rule(const Encoding& encoding) {
  if (!is_int4_with_float8_activations(encoding)) return nullptr;
  return std::make_shared<Int4Float8Rule>(encoding);
}

}  // namespace mantissa
