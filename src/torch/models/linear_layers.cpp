#include "torch/models/linear_layers.h"

#include <algorithm>

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/packed_int8_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

void put(torch::nn::Module& module, const char* key, const at::Tensor& value) {
  ParameterPlace{&module, "", key}.put(value);
}

// What a linear takes its codes for; Int8Compute::None where it takes none.
Int8Compute int8_compute(const LinearPtr& linear) {
  const QuantizedTensorImpl* impl = quantized_impl(linear->weight);
  if (impl == nullptr || impl->training()) return Int8Compute::None;
  const WeightState& state = impl->state();
  return takes_int8(state.packed_for) && !state.transposed ? state.packed_for
                                                           : Int8Compute::None;
}

// Its rule where its config names the int8 activations; null elsewhere.
const PackedInt8Rule* int8_rule(const LinearPtr& linear) {
  const QuantizedTensorImpl* impl = quantized_impl(linear->weight);
  if (impl == nullptr || impl->training()) return nullptr;
  const WeightState& state = impl->state();
  return state.transposed
             ? nullptr
             : dynamic_cast<const PackedInt8Rule*>(state.rule.get());
}

bool same_codes(const LinearPtr& a, const LinearPtr& b) {
  if (int8_compute(a) != Int8Compute::None) {
    return int8_compute(a) == int8_compute(b);
  }
  const PackedInt8Rule* rule = int8_rule(a);
  const PackedInt8Rule* other = int8_rule(b);
  return rule != nullptr && other != nullptr && rule->same_input(*other);
}

bool share_codes(const at::Tensor& x,
                 std::initializer_list<const LinearPtr*> linears) {
  if ((c10::GradMode::is_enabled() && x.requires_grad()) ||
      at::autocast::is_autocast_enabled(at::kCPU)) {
    return false;
  }
  const LinearPtr& first = **linears.begin();
  return std::ranges::all_of(linears, [&first](const LinearPtr* one) {
    return same_codes(first, *one) &&
           !(c10::GradMode::is_enabled() && (*one)->bias.defined() &&
             (*one)->bias.requires_grad());
  });
}

}  // namespace

at::Tensor meta_parameter(at::IntArrayRef sizes, c10::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions(at::kMeta).dtype(dtype));
}

LinearPtr make_linear(std::int64_t in,
                      std::int64_t out,
                      bool bias,
                      c10::ScalarType dtype) {
  // Without rows the constructor allocates nothing and draws nothing.
  auto linear = std::make_shared<torch::nn::LinearImpl>(
      torch::nn::LinearOptions(1, 0).bias(bias));
  linear->options.in_features(in).out_features(out);
  put(*linear, "weight", meta_parameter({out, in}, dtype));
  if (bias) put(*linear, "bias", meta_parameter({out}, dtype));
  return linear;
}

std::vector<at::Tensor> forward_each(
    const at::Tensor& x, std::initializer_list<const LinearPtr*> linears) {
  std::vector<at::Tensor> out;
  if (!share_codes(x, linears)) {
    for (const LinearPtr* one : linears) out.push_back((*one)->forward(x));
    return out;
  }
  if (const PackedInt8Rule* first = int8_rule(**linears.begin())) {
    const Int8Input codes = first->input(x);
    for (const LinearPtr* one : linears) {
      out.push_back(
          int8_rule(*one)->linear(codes, x.scalar_type(), (*one)->bias));
    }
    return out;
  }
  const LowbitInput codes(x, int8_compute(**linears.begin()));
  for (const LinearPtr* one : linears) {
    const WeightState& state = quantized_impl((*one)->weight)->state();
    out.push_back(codes.linear(*state.packed, (*one)->bias));
  }
  return out;
}

EmbeddingPtr make_embedding(std::int64_t rows,
                            std::int64_t width,
                            c10::ScalarType dtype) {
  auto embedding = std::make_shared<torch::nn::EmbeddingImpl>(
      torch::nn::EmbeddingOptions(rows, width)
          ._weight(meta_parameter({rows, width}, dtype)));
  put(*embedding, "weight", meta_parameter({rows, width}, dtype));
  return embedding;
}

}  // namespace mantissa
