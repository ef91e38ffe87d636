#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>

#include <mantissa/torch/quantized_tensor.h>

#include "formats/fused_tensor.h"
#include "torch/tensor/product_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

// Matrix by matrix, as each one's format says.
class FusedRule final : public ProductRule {
 public:
  using ProductRule::ProductRule;

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl& w,
                    const at::Tensor& bias) const override {
    const WeightState& state = w.state();
    const auto matrix = fused_matrix(*state.encoding);
    std::vector<at::Tensor> parts;
    for (std::int64_t i = 0; i < fused_count(*state.encoding); ++i) {
      std::vector<at::Tensor> fields;
      for (const at::Tensor& field : state.fields) {
        fields.push_back(field.select(0, i));
      }
      parts.push_back(
          at::linear(x, make_quantized_tensor(matrix, std::move(fields))));
    }
    const at::Tensor y = at::cat(parts, -1);
    return bias.defined() ? y + bias : y;
  }
};

}  // namespace

std::shared_ptr<ProductRule> fused_tensor_rule(const Encoding& encoding) {
  return std::make_shared<FusedRule>(encoding);
}

}  // namespace mantissa
