#include "torch/tensor/compressed_tensor_rules.h"

#include <utility>

#include <c10/util/Exception.h>

#include "formats/fields.h"
#include "torch/ops/compressed_activations.h"
#include "torch/ops/linear_int8.h"
#include "torch/tensor/packed_int8_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using at::Tensor;

// x with the values of its codes, then the product of values.
class FakeQuantizedRule final : public ProductRule {
 public:
  FakeQuantizedRule(const Encoding& encoding, CompressedInput input)
      : ProductRule(encoding), input_(std::move(input)) {}

  Tensor linear(const Tensor& x,
                const QuantizedTensorImpl& w,
                const Tensor& bias) const override {
    const auto& fields = w.state().fields;
    const Tensor rounded = fake_quantize_compressed(
        x, input_.how(), input_.scale(fields), input_.zero_point(fields));
    return ProductRule::linear(rounded, w, bias);
  }

 private:
  CompressedInput input_;
};

// Codes times codes; scales, zero points and the bias in float32.
class Int8CodesRule final : public ProductRule {
 public:
  Int8CodesRule(const Encoding& encoding, CompressedInput input)
      : ProductRule(encoding), input_(std::move(input)) {}

  Tensor linear(const Tensor& x,
                const QuantizedTensorImpl& w,
                const Tensor& bias) const override {
    const auto& fields = w.state().fields;
    const c10::ScalarType dtype = x.scalar_type();
    const Int8Call call(activation(fields), dtype);
    return linear_int8(x,
                       fields[CompressedFields::kCodes],
                       fields[CompressedFields::kScale].to(at::kFloat),
                       bias,
                       call.activation,
                       call.out_dtype)
        .to(dtype);
  }

  bool multiplies_codes() const override { return true; }

  std::shared_ptr<ProductRule> packed(
      const std::vector<Tensor>& fields,
      std::shared_ptr<const LowbitWeight> codes) const override {
    return std::make_shared<PackedInt8Rule>(
        Int8Weight(std::move(codes),
                   fields[CompressedFields::kScale].to(at::kFloat),
                   fields[CompressedFields::kCodes]),
        activation(fields));
  }

 private:
  Int8Activation activation(const std::vector<Tensor>& fields) const {
    Int8Activation out;
    out.per_tensor = input_.how().strategy == ActivationStrategy::Tensor;
    out.formula = RowFormula::CompressedTensors;
    out.scale = input_.scale(fields);
    out.zero_point = input_.zero_point(fields);
    if (!input_.how().symmetric) out.mapping = MappingType::Asymmetric;
    return out;
  }

  CompressedInput input_;
};

}  // namespace

std::optional<CompressedInput> CompressedInput::of(const Encoding& encoding) {
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  if (compressed == nullptr) return std::nullopt;
  const auto how = with_torch_errors(
      [&] { return compressed_activations(compressed->spec()); });
  if (!how) return std::nullopt;
  CompressedInput out;
  out.how_ = *how;
  if (how->dynamic) return out;
  out.scale_ = fields::index(encoding, "input_scale");
  out.zero_point_ = fields::index(encoding, "input_zero_point");
  TORCH_CHECK_VALUE(out.scale_,
                    "config_groups: input_activations.dynamic is false, and "
                    "there is no input_scale; static activations are loaded "
                    "from a checkpoint that holds it");
  return out;
}

Tensor CompressedInput::scale(const std::vector<Tensor>& fields) const {
  return scale_ ? fields[*scale_] : Tensor();
}

Tensor CompressedInput::zero_point(const std::vector<Tensor>& fields) const {
  return zero_point_ ? fields[*zero_point_] : Tensor();
}

bool multiplies_int8(const Encoding& encoding) {
  const auto input = CompressedInput::of(encoding);
  if (!input || input->how().floating ||
      input->how().strategy == ActivationStrategy::Group) {
    return false;
  }
  const auto& compressed = dynamic_cast<const CompressedEncoding&>(encoding);
  const CompressedSpec& spec = compressed.spec();
  return !compressed.packed() && !spec.floating && spec.symmetric &&
         (spec.strategy == CompressedStrategy::Channel ||
          spec.strategy == CompressedStrategy::Tensor);
}

std::shared_ptr<ProductRule> compressed_tensor_rule(const Encoding& encoding) {
  auto input = CompressedInput::of(encoding);
  if (!input) return nullptr;
  if (multiplies_int8(encoding)) {
    return std::make_shared<Int8CodesRule>(encoding, std::move(*input));
  }
  return std::make_shared<FakeQuantizedRule>(encoding, std::move(*input));
}

}  // namespace mantissa
