#include <memory>
#include <utility>
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
  explicit FusedRule(const Encoding& encoding)
      : ProductRule(encoding), of_one_(product_rule_of(one_matrix(encoding))) {}

  void observe(const std::vector<at::Tensor>& fields) override {
    of_one_->observe(fields);
  }
  bool multiplies_codes() const override { return of_one_->multiplies_codes(); }
  std::shared_ptr<ProductRule> packed(
      const std::vector<at::Tensor>& fields,
      std::shared_ptr<const LowbitWeight> codes) const override {
    return of_one_->packed(fields, std::move(codes));
  }

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

 private:
  // Of one matrix. It sees the fields of all of them together, [matrices, ..].
  std::shared_ptr<ProductRule> of_one_;
};

}  // namespace

std::shared_ptr<ProductRule> fused_tensor_rule(const Encoding& encoding) {
  return std::make_shared<FusedRule>(encoding);
}

}  // namespace mantissa
