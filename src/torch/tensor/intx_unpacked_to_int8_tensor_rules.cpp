#include "formats/intx_unpacked_to_int8_tensor.h"
#include "torch/ops/fake_quantize_rows.h"
#include "torch/tensor/product_rule.h"

namespace mantissa {
namespace {

// torchao's sequence: x rounded to an int8 grid of its own for each token, then
// the product of values.
class IntxRule final : public ProductRule {
 public:
  using ProductRule::ProductRule;

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl& w,
                    const at::Tensor& bias) const override {
    return ProductRule::linear(fake_quantize_rows_int8(x), w, bias);
  }
};

}  // namespace

std::shared_ptr<ProductRule> intx_unpacked_to_int8_tensor_rule(
    const Encoding& encoding) {
  if (!is_intx_with_activations(encoding)) return nullptr;
  return std::make_shared<IntxRule>(encoding);
}

}  // namespace mantissa
