#include "torch/models/decode_parts.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>

#include <mantissa/primitives/convert.h>

#include "torch/models/decoder_stack.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/ops/lowbit_rows.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/packed_int8_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

bool plain_float(const at::Tensor& tensor) {
  return takes_step(tensor.scalar_type()) && tensor.is_contiguous() &&
         tensor.is_cpu() && quantized_impl(tensor) == nullptr;
}

StepLinear part(const LinearPtr& linear) {
  StepLinear out;
  out.module = linear.get();
  const QuantizedTensorImpl* impl = quantized_impl(linear->weight);
  if (impl == nullptr || impl->training()) return out;
  const WeightState& state = impl->state();
  if (state.packed == nullptr || state.transposed) return out;
  // Autocast narrows floats.
  if (!takes_int8(state.packed_for) &&
      at::autocast::is_autocast_enabled(at::kCPU)) {
    return out;
  }
  const at::Tensor& bias = linear->bias;
  if (bias.defined() && !plain_float(bias)) return out;
  // Others round each step of their results to their dtype, in their modules.
  if (linear->weight.scalar_type() == at::kFloat) {
    out.int8 = dynamic_cast<const PackedInt8Rule*>(state.rule.get());
  }
  out.compute = state.packed_for;
  out.rounding = state.rule->rounding();
  out.w = state.packed->view();
  out.values = decoded_type(*state.packed);
  if (bias.defined()) out.bias = in_dtype(bias, at::kFloat);
  return out;
}

// True where there is no norm.
bool take(const RmsNorm* norm, StepNorm& out) {
  if (norm == nullptr) return true;
  if (!plain_float(norm->weight())) return false;
  out = {in_dtype(norm->weight(), at::kFloat), static_cast<float>(norm->eps())};
  return true;
}

bool take(const DecoderLayer& layer, StepLayer& out) {
  const Attention& attention = layer.attention();
  out.window = attention.window();
  out.q = part(attention.q());
  out.k = part(attention.k());
  out.v = part(attention.v());
  out.o = part(attention.o());
  if (const auto* mlp = dynamic_cast<GatedMlp*>(&layer.feed_forward())) {
    out.gate = part(mlp->gate());
    out.up = part(mlp->up());
    out.down = part(mlp->down());
  } else {
    out.experts = &layer.feed_forward();
  }
  const bool four = layer.before_feed_forward() != nullptr;
  return take(&layer.input_norm(), out.before_attention) &&
         take(attention.q_norm(), out.q_norm) &&
         take(attention.k_norm(), out.k_norm) &&
         take(&layer.attention_norm(),
              four ? out.after_attention : out.before_feed_forward) &&
         take(layer.before_feed_forward(), out.before_feed_forward) &&
         take(layer.after_feed_forward(), out.after_feed_forward);
}

}  // namespace

bool takes_step(c10::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
}

at::Tensor in_dtype(const at::Tensor& x, c10::ScalarType type) {
  if (x.scalar_type() == type) return x;
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(type));
  convert(host_view(x),
          {dtype_of(type),
           shape_of(x),
           static_cast<std::byte*>(out.mutable_data_ptr())});
  return out;
}

bool step_layers(const DecoderStack& stack,
                 std::vector<StepLayer>& layers,
                 StepNorm& last) {
  layers.resize(stack.layers().size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!take(*stack.layers()[i], layers[i])) return false;
  }
  return take(&stack.norm(), last);
}

}  // namespace mantissa
