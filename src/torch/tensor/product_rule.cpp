#include "torch/tensor/product_rule.h"

#include <algorithm>
#include <string_view>

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <c10/util/Exception.h>

#include "formats/fields.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

struct FormatRule {
  std::string_view format;
  std::shared_ptr<ProductRule> (*make)(const Encoding& encoding);
};

constexpr FormatRule kRules[] = {
    {"Float8Tensor", float8_tensor_rule},
    {"FusedTensor", fused_tensor_rule},
    {"Int4Tensor", int4_tensor_rule},
    {"Int8Tensor", int8_tensor_rule},
    {"IntxUnpackedToInt8Tensor", intx_unpacked_to_int8_tensor_rule},
    {"float-quantized", compressed_tensor_rule},
    {"int-quantized", compressed_tensor_rule},
    {"naive-quantized", compressed_tensor_rule},
    {"pack-quantized", compressed_tensor_rule},
};

}  // namespace

ProductRule::ProductRule(const Encoding& encoding)
    : pre_scale_(fields::index(encoding, "act_pre_scale")) {}

at::Tensor ProductRule::pre_scaled(const at::Tensor& x,
                                   const QuantizedTensorImpl& w) const {
  return pre_scale_ ? x * w.state().fields[*pre_scale_] : x;
}

at::Tensor ProductRule::linear(const at::Tensor& x,
                               const QuantizedTensorImpl& w,
                               const at::Tensor& bias) const {
  const c10::ScalarType dtype = x.scalar_type();
  return at::linear(
      pre_scaled(x, w).to(dtype), w.stored_values().to(dtype), bias);
}

at::Tensor ProductRule::grouped_linear(const at::Tensor&,
                                       const std::vector<std::int64_t>&) const {
  TORCH_INTERNAL_ASSERT(false, "grouped_linear: the weight is not packed");
}

std::shared_ptr<ProductRule> product_rule_of(const Encoding& encoding) {
  const auto row =
      std::ranges::find(kRules, encoding.format_name(), &FormatRule::format);
  if (row != std::end(kRules)) {
    if (auto rule = row->make(encoding)) return rule;
  }
  return std::make_shared<ProductRule>(encoding);
}

}  // namespace mantissa
