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

bool autocast_enabled() { return at::autocast::is_autocast_enabled(at::kCPU); }

StepLinear part(const LinearPtr& linear) {
  StepLinear out;
  out.module = linear.get();
  out.mark.emplace(*linear);
  const QuantizedTensorImpl* impl = quantized_impl(linear->weight);
  if (impl == nullptr || impl->training()) return out;
  const WeightState& state = impl->state();
  if (state.packed == nullptr || state.transposed) return out;
  // Autocast narrows floats.
  if (!takes_int8(state.packed_for) && autocast_enabled()) return out;
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
  if (bias.defined()) out.bias = StepVector(bias);
  return out;
}

// True where there is no norm.
bool take(const RmsNorm* norm, StepNorm& out) {
  if (norm == nullptr) return true;
  if (!plain_float(norm->weight())) return false;
  out = {StepVector(norm->weight()), static_cast<float>(norm->eps()), norm};
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

// Calls each(part) for the linears of a layer and each(norm) for its norms.
template <class Layer, class Each>
void each_of(Layer& parts, const Each& each) {
  for (auto* one : {&parts.q,
                    &parts.k,
                    &parts.v,
                    &parts.o,
                    &parts.gate,
                    &parts.up,
                    &parts.down}) {
    each(*one);
  }
  for (auto* one : {&parts.before_attention,
                    &parts.q_norm,
                    &parts.k_norm,
                    &parts.after_attention,
                    &parts.before_feed_forward,
                    &parts.after_feed_forward}) {
    each(*one);
  }
}

struct Fetch {
  void operator()(const StepLinear& linear) const {
    if (linear.mark) linear.mark->fetch();
  }
  void operator()(const StepNorm& norm) const { norm.fetch(); }
};

struct AllKept {
  bool& all;
  void operator()(const StepLinear& linear) const {
    all = all && (!linear.mark || linear.mark->kept()) &&
          (!linear.packed() || linear.bias.is(linear.module->bias));
  }
  void operator()(const StepNorm& norm) const { all = all && norm.kept(); }
};

struct Refresh {
  void operator()(StepLinear& linear) const { linear.bias.refresh(); }
  void operator()(StepNorm& norm) const { norm.weight.refresh(); }
};

template <class A, class B>
bool same_owner(const A& a, const B& b) {
  return !a.owner_before(b) && !b.owner_before(a);
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

StepVector::StepVector(const at::Tensor& source)
    : source_(source),
      values_(in_dtype(source, at::kFloat)),
      type_(source.scalar_type()) {}

bool StepVector::is(const at::Tensor& source) const {
  return source_.is_same(source) &&
         (!source.defined() ||
          (source.scalar_type() == type_ && plain_float(source)));
}

void StepVector::refresh() {
  if (source_.defined() && !values_.is_same(source_)) {
    values_ = in_dtype(source_, at::kFloat);
  }
}

bool StepNorm::kept() const {
  return norm == nullptr || weight.is(norm->weight());
}

void StepNorm::fetch() const { __builtin_prefetch(norm); }

LinearMark::LinearMark(const torch::nn::LinearImpl& linear)
    : linear_(&linear),
      weight_(linear.weight.unsafeGetTensorImpl()),
      state_(nullptr),
      type_(linear.weight.scalar_type()),
      weak_weight_(linear.weight.getIntrusivePtr()) {
  const QuantizedTensorImpl* impl = quantized_impl(linear.weight);
  if (impl == nullptr) return;
  state_ = &impl->state();
  transposed_ = state_->transposed;
  packed_ = state_->packed;
  rule_ = state_->rule;
}

bool LinearMark::kept() const {
  return linear_->weight.unsafeGetTensorImpl() == weight_ &&
         linear_->weight.scalar_type() == type_ &&
         (state_ == nullptr || (same_owner(packed_, state_->packed) &&
                                same_owner(rule_, state_->rule) &&
                                state_->transposed == transposed_));
}

void LinearMark::fetch() const {
  __builtin_prefetch(&linear_->weight);
  if (state_ == nullptr) return;
  __builtin_prefetch(&state_->rule);
  __builtin_prefetch(&state_->packed);
}

bool StepParts::take(const DecoderStack& stack) {
  if (!kept(stack)) return take_anew(stack);
  for (StepLayer& layer : layers_) each_of(layer, Refresh{});
  last_.weight.refresh();
  return true;
}

bool StepParts::kept(const DecoderStack& stack) const {
  // One that no pointer owns could be another at the same place.
  if (stack_.expired() || layers_.empty() || autocast_ != autocast_enabled() ||
      !same_owner(stack_, stack.weak_from_this())) {
    return false;
  }
  for (const StepLayer& layer : layers_) each_of(layer, Fetch{});
  bool all = last_.kept();
  for (const StepLayer& layer : layers_) each_of(layer, AllKept{all});
  return all;
}

bool StepParts::take_anew(const DecoderStack& stack) {
  stack_.reset();  // until all is taken
  autocast_ = autocast_enabled();
  layers_.assign(stack.layers().size(), {});
  bool all = mantissa::take(&stack.norm(), last_);
  for (std::size_t i = 0; all && i < layers_.size(); ++i) {
    all = mantissa::take(*stack.layers()[i], layers_[i]);
  }
  if (all) stack_ = stack.weak_from_this();
  return all;
}

}  // namespace mantissa
