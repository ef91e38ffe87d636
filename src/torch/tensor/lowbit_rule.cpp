#include "torch/tensor/lowbit_rule.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "formats/fields.h"
#include "formats/fused_tensor.h"
#include "formats/int8_tensor.h"
#include "formats/intx_unpacked_to_int8_tensor.h"
#include "formats/lowbit_grid.h"
#include "torch/ops/compressed_activations.h"
#include "torch/ops/grouped_linear_lowbit.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/tensor/compressed_tensor_rules.h"
#include "torch/tensor/expert_matrices.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

class LowbitRule final : public ProductRule {
 public:
  LowbitRule(const Encoding& encoding,
             std::shared_ptr<const LowbitWeight> weight,
             Int8Compute compute)
      : ProductRule(encoding), weight_(std::move(weight)), compute_(compute) {}

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl&,
                    const at::Tensor& bias) const override {
    return linear_lowbit(x, *weight_, bias, compute_);
  }
  at::Tensor grouped_linear(
      const at::Tensor& x,
      const std::vector<std::int64_t>& ends) const override {
    return grouped_linear_lowbit(x, *weight_, ends, compute_);
  }

 private:
  std::shared_ptr<const LowbitWeight> weight_;
  Int8Compute compute_;
};

// Activations of a scheme of compressed-tensors: x with the values of its codes
// times codes that become float32 in registers.
class FakeQuantizedLowbitRule final : public ProductRule {
 public:
  FakeQuantizedLowbitRule(const WeightState& state,
                          const CompressedInput& input,
                          const std::vector<at::Tensor>& fields)
      : ProductRule(*state.encoding),
        weight_(state.packed),
        rounding_{input.how(), input.scale(fields), input.zero_point(fields)} {
    const Shape& shape = state.encoding->shape();
    if (shape.size() != 3) return;
    const auto of_matrices =
        MatrixActivations::of(rounding_.scale, rounding_.zero_point, shape[0]);
    rounding_.scale = of_matrices.scale;
    rounding_.zero_point = of_matrices.zero_point;
    each_ = of_matrices.each;
  }

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl&,
                    const at::Tensor& bias) const override {
    return linear_lowbit(rounding_(x), *weight_, bias, Int8Compute::Float);
  }
  at::Tensor grouped_linear(
      const at::Tensor& x,
      const std::vector<std::int64_t>& ends) const override {
    return grouped_product(
        x, weight_->encoding()->shape(), ends, [&](const at::Tensor& rows) {
          const ExpertMatrices matrices(ends, each_);
          CompressedRounding rounding = rounding_;
          rounding.scale = matrices.values(rounding.scale);
          rounding.zero_point = matrices.values(rounding.zero_point);
          const LowbitInput input(
              rounding.of_parts(matrices.rows(rows), matrices.ends()),
              Int8Compute::Float,
              matrices.ends());
          return matrices.joined(input.linear(*weight_, {}));
        });
  }

  const CompressedRounding* rounding() const override { return &rounding_; }

 private:
  std::shared_ptr<const LowbitWeight> weight_;
  CompressedRounding rounding_;
  std::int64_t each_ = 1;  // matrices of an expert whose activations differ
};

}  // namespace

at::Tensor unpacked_weight(const at::Tensor& weight) {
  const WeightState& state = quantized_impl(weight)->state();
  if (state.packed == nullptr) return weight;
  return wrap_weight(state.unpacked(), weight.scalar_type());
}

bool names_int8_rows(const Encoding& matrix) {
  return int8_activation(matrix) != nullptr || multiplies_int8(matrix);
}

namespace {

// `input`: what CompressedInput says of it.
bool has_static_activations(const Encoding& matrix,
                            const std::optional<CompressedInput>& input) {
  return (input && !input->how().dynamic) ||
         fields::index(matrix, "act_quant_scale").has_value();
}

// Of matrices with static activations, which may differ.
std::string static_refusal(const Encoding& fused) {
  if (fused.shape().size() != 3) {
    return "each matrix has a scale of activations";
  }
  if (one_matrix(fused).shape()[0] % kernels::kLowbitTile == 0) return {};
  return "each matrix of an expert has a scale of activations, and its rows "
         "are no multiple of 16";
}

}  // namespace

std::string packing_refusal(const Encoding& encoding, Int8Compute compute) {
  const Encoding& matrix = one_matrix(encoding);
  if (names_int8_rows(matrix) &&
      encoding.shape().back() > kernels::kLowbitExact) {
    return fmt::format("its rows have more than {} values",
                       kernels::kLowbitExact);
  }
  if (compute == Int8Compute::Float && is_intx_with_activations(matrix)) {
    return "its config names int8 activations";
  }
  const auto input = CompressedInput::of(matrix);
  if (is_fused(encoding) && has_static_activations(matrix, input)) {
    const std::string refused = static_refusal(encoding);
    if (!refused.empty()) return refused;
  }
  return LowbitWeight::refusal(encoding);
}

namespace {

// Of a weight whose config names no activations but those of intx; int8 codes
// do not multiply float8.
Int8Compute compute_of(const Encoding& encoding, Int8Compute asked) {
  if (is_intx_with_activations(one_matrix(encoding))) return Int8Compute::Token;
  return lowbit_code_of(encoding) == kernels::LowbitCode::Integer
             ? asked
             : Int8Compute::Float;
}

}  // namespace

std::string activations_of(const Encoding& encoding,
                           Int8Compute compute,
                           c10::ScalarType dtype) {
  const Encoding& matrix = one_matrix(encoding);
  if (names_int8_rows(matrix) || is_intx_with_activations(matrix) ||
      CompressedInput::of(matrix)) {
    return "config";
  }
  switch (compute_of(encoding, compute)) {
    case Int8Compute::Token:
      return "int8-token";
    case Int8Compute::Group32:
      return "int8-g32";
    case Int8Compute::Group64:
      return "int8-g64";
    case Int8Compute::None:
    case Int8Compute::Float:
      break;
  }
  return dtype == at::kFloat      ? "float32"
         : dtype == at::kBFloat16 ? "bfloat16"
                                  : "float16";
}

std::string packing_refusal(const at::Tensor& weight, Int8Compute compute) {
  const QuantizedTensorImpl* impl = quantized_impl(weight);
  if (impl == nullptr) return "it is not quantized";
  if (impl->training()) return "it trains";
  const WeightState& state = impl->state();
  if (!state.device().is_cpu()) return "it is not on the CPU";
  if (state.transposed) return "it is a transposed view";
  if (names_int8_rows(one_matrix(*state.encoding)) &&
      !state.rule->multiplies_codes()) {
    return "its scales do not go with int8 activations";
  }
  return packing_refusal(*state.encoding, compute);
}

at::Tensor packed_weight(const at::Tensor& weight, Int8Compute compute) {
  WeightState state = quantized_impl(weight)->state().unpacked();
  if (state.rule == nullptr) {  // it was packed
    state.rule = product_rule_of(*state.encoding);
    state.rule->observe(state.fields);
  }
  state.packed = with_torch_errors(
      [&] { return pack_lowbit_weight(state.encoding, state.fields); });
  // A config that names an activation scheme keeps it.
  const Encoding& matrix = one_matrix(*state.encoding);
  if (names_int8_rows(matrix)) {
    state.rule = state.rule->packed(state.fields, state.packed);
  } else if (const auto input = CompressedInput::of(matrix)) {
    state.packed_for = Int8Compute::Float;
    state.rule =
        std::make_shared<FakeQuantizedLowbitRule>(state, *input, state.fields);
  } else {
    state.packed_for = compute_of(*state.encoding, compute);
    state.rule = std::make_shared<LowbitRule>(
        *state.encoding, state.packed, state.packed_for);
  }
  state.fields.clear();
  return wrap_weight(std::move(state), weight.scalar_type());
}

}  // namespace mantissa
