#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <c10/util/Exception.h>

#include "formats/affine_encoding.h"
#include "formats/fields.h"
#include "formats/int8_tensor.h"
#include "torch/ops/linear_int8.h"
#include "torch/tensor/packed_int8_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using at::Tensor;

enum Field : std::size_t { kQdata, kScale };

// torchao's sequence for Int8Tensor: codes times codes with quantized
// activations; x times codes, then the scales, where a row has one scale; else
// x times values.
class Int8Rule final : public ProductRule {
 public:
  Int8Rule(const Encoding& encoding, const AffineEncoding& affine)
      : ProductRule(encoding),
        zero_point_(fields::index(encoding, "zero_point")),
        act_scale_(fields::index(encoding, "act_quant_scale")),
        act_zero_point_(fields::index(encoding, "act_quant_zero_point")) {
    const Shape& shape = encoding.shape();
    const Shape& block = affine.layout().block_size;
    if (shape.size() >= 2) {
      const std::int64_t rows = block[block.size() - 2];
      scale_of_rows_ = block.back() == shape.back() &&
                       (rows == 1 || rows == shape[shape.size() - 2]);
    }
    const auto* kwargs = int8_activation(encoding);
    if (kwargs == nullptr) return;
    dynamic_ = true;
    activation_.per_tensor =
        std::holds_alternative<PerTensor>(kwargs->granularity);
    activation_.mapping = kwargs->mapping_type;
    activation_.reduce_range = kwargs->reduce_range;
    rows_of_x_ = activation_.per_tensor ||
                 std::holds_alternative<PerRow>(kwargs->granularity) ||
                 std::holds_alternative<PerToken>(kwargs->granularity);
  }

  // Files may hold asymmetric weights, whose sequences would lack their zero
  // points.
  void observe(const std::vector<Tensor>& fields) override {
    shifted_ = false;
    if (!zero_point_ || fields[*zero_point_].is_meta()) return;
    const Tensor zeros = fields[*zero_point_].cpu();
    const auto* values = zeros.const_data_ptr<std::int8_t>();
    shifted_ = std::any_of(values,
                           values + zeros.numel(),
                           [](std::int8_t value) { return value != 0; });
  }

  Tensor linear(const Tensor& x,
                const QuantizedTensorImpl& w,
                const Tensor& bias) const override {
    if (dynamic_) return quantized(x, w, bias);
    const c10::ScalarType dtype = x.scalar_type();
    const Tensor input = pre_scaled(x, w).to(dtype);
    const auto& fields = w.state().fields;
    Tensor y;
    if (scale_of_rows_ && !shifted_) {
      y = at::mm(input, fields[kQdata].t().to(dtype)) *
          fields[kScale].to(dtype).flatten();
    } else {
      y = at::mm(input, w.stored_values().to(dtype).t());
    }
    if (bias.defined()) y += bias;
    return y;
  }

  bool multiplies_codes() const override {
    return dynamic_ && scale_of_rows_ && rows_of_x_ && !shifted_;
  }

  std::shared_ptr<ProductRule> packed(
      const std::vector<Tensor>& fields,
      std::shared_ptr<const LowbitWeight> codes) const override {
    return std::make_shared<PackedInt8Rule>(
        Int8Weight(
            std::move(codes), fields[kScale].to(at::kFloat), fields[kQdata]),
        activation(fields));
  }

 private:
  Tensor quantized(const Tensor& x,
                   const QuantizedTensorImpl& w,
                   const Tensor& bias) const {
    TORCH_CHECK_NOT_IMPLEMENTED(
        multiplies_codes(),
        "linear: int8 activations go with symmetric weights that have a scale "
        "for each row or one for all, and are quantized per row or per tensor; "
        "mantissa::dequantize_(module) gives plain weights back");
    const auto& fields = w.state().fields;
    return linear_int8(pre_scaled(x, w),
                       fields[kQdata],
                       fields[kScale].to(at::kFloat),
                       bias,
                       activation(fields),
                       x.scalar_type());
  }

  Int8Activation activation(const std::vector<Tensor>& fields) const {
    Int8Activation out = activation_;
    if (act_scale_) out.scale = fields[*act_scale_].to(at::kFloat);
    if (act_zero_point_) out.zero_point = fields[*act_zero_point_];
    return out;
  }

  std::optional<std::size_t> zero_point_;
  std::optional<std::size_t> act_scale_;
  std::optional<std::size_t> act_zero_point_;
  bool shifted_ = false;  // a zero point is not 0
  bool scale_of_rows_ = false;
  bool dynamic_ = false;
  bool rows_of_x_ = false;
  Int8Activation activation_;
};

}  // namespace

std::shared_ptr<ProductRule> int8_tensor_rule(const Encoding& encoding) {
  const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding);
  if (affine == nullptr) return nullptr;
  return std::make_shared<Int8Rule>(encoding, *affine);
}

}  // namespace mantissa
