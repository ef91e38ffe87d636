#include "torch/tensor/linear_node.h"

#include <mutex>
#include <utility>

#include <ATen/autocast_mode.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_unsafe_view.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/accumulate.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include "torch/tensor/lowbit_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Rows are counted, since -1 says nothing where there are no columns.
at::Tensor rows_of(const at::Tensor& x) {
  if (x.dim() == 2) return x;
  const std::int64_t rows =
      c10::multiply_integers(x.sizes().slice(0, x.dim() - 1));
  return x.reshape({rows, x.size(-1)});
}

// A wrapped weight as the right side of x * w^T: [N, K].
class Operand {
 public:
  Operand(const at::Tensor& w, bool out_in)
      : impl_(*quantized_impl(w)), out_in_(out_in) {}

  at::Tensor linear(const at::Tensor& x, const at::Tensor& bias) const {
    if (impl_.training()) return state().op->linear(x, inner(), bias);
    // A format's rule is for rows of K, which the codes share scales along.
    if (out_in_ != state().transposed)
      return state().rule->linear(x, impl_, bias);
    return at::linear(x, plain(x), bias);
  }
  at::Tensor input_gradient(const at::Tensor& g) const {
    if (impl_.training()) return state().op->input_gradient(g, inner());
    return at::mm(g, plain(g));
  }
  at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& g) const {
    const at::Tensor grad = state().op->weight_gradient(x, g, inner());
    return out_in_ ? grad : grad.t();
  }

 private:
  const WeightState& state() const { return impl_.state(); }
  at::Tensor inner() const {
    return out_in_ ? state().inner : state().inner.t();
  }
  at::Tensor plain(const at::Tensor& like) const {
    const at::Tensor w = impl_.dense().to(like.scalar_type());
    return out_in_ ? w : w.t();
  }

  const QuantizedTensorImpl& impl_;
  bool out_in_;
};

at::Tensor forward(const at::Tensor& x,
                   const at::Tensor& w,
                   const at::Tensor& bias,
                   bool out_in) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::autocast_dispatch_keyset);
  const at::Tensor y = Operand(w, out_in).linear(rows_of(x), bias);
  if (x.dim() == 2) return y;
  Shape sizes = x.sizes().vec();
  sizes.back() = y.size(-1);
  return at::_unsafe_view(y, sizes);
}

struct LinearBackward final : torch::autograd::Node {
  SavedVariable x;
  SavedVariable w;
  bool out_in = true;
  bool has_bias = false;
  bool w_trains = false;

  std::string name() const override { return "MantissaLinearBackward"; }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    x.reset_data();
    w.reset_data();
  }

  variable_list apply(variable_list&& grads) override {
    const std::lock_guard lock(mutex_);
    TORCH_CHECK_NOT_IMPLEMENTED(
        !c10::GradMode::is_enabled(),
        "mantissa: linear with a quantized weight has no second derivative "
        "(create_graph = true)");
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(
        c10::autocast_dispatch_keyset);
    variable_list out(has_bias ? 3 : 2);
    if (!grads[0].defined()) return out;
    const at::Tensor weight = w.unpack();
    const Operand operand(weight, out_in);
    const at::Tensor g = rows_of(grads[0]);
    if (task_should_compute_output(0)) {
      out[0] = operand.input_gradient(g);
      if (grads[0].dim() != 2) {
        Shape sizes = grads[0].sizes().vec();
        sizes.back() = out[0].size(-1);
        out[0] = out[0].view(sizes);
      }
    }
    if (w_trains && task_should_compute_output(1)) {
      out[1] = operand.weight_gradient(rows_of(x.unpack()), g);
    }
    if (has_bias && task_should_compute_output(2)) out[2] = g.sum(0);
    return out;
  }
};

at::Tensor with_history(const at::Tensor& x,
                        const at::Tensor& w,
                        const at::Tensor& bias,
                        bool out_in) {
  const std::shared_ptr<LinearBackward> node(new LinearBackward(),
                                             torch::autograd::deleteNode);
  node->has_bias = bias.defined();
  node->w_trains = w.requires_grad();
  node->out_in = out_in;
  node->set_next_edges(bias.defined()
                           ? torch::autograd::collect_next_edges(x, w, bias)
                           : torch::autograd::collect_next_edges(x, w));
  if (node->w_trains) node->x = SavedVariable(x, false);
  node->w = SavedVariable(w, false);
  at::Tensor y;
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    y = forward(x, w, bias, out_in);
  }
  torch::autograd::set_history(y, node);
  return y;
}

// The rules stand above autocast: they cast the input themselves.
at::Tensor autocast(const at::Tensor& x) {
  const c10::DeviceType device = x.device().type();
  if (!at::autocast::is_autocast_available(device) ||
      !at::autocast::is_autocast_enabled(device)) {
    return x;
  }
  return at::autocast::cached_cast(
      at::autocast::get_autocast_dtype(device), x, device);
}

bool autograd_is_excluded() {
  return c10::impl::tls_is_dispatch_key_excluded(
      c10::DispatchKey::AutogradFunctionality);
}

}  // namespace

at::Tensor wrapped_linear(const at::Tensor& x,
                          const at::Tensor& w,
                          const at::Tensor& bias,
                          bool out_in) {
  const std::int64_t k = w.size(out_in ? 1 : 0);
  TORCH_CHECK_VALUE(x.dim() >= 1 && x.size(-1) == k,
                    "linear: x: expected last dim ",
                    k,
                    " (= in_features of the quantized weight ",
                    w.sizes(),
                    "), got ",
                    x.sizes(),
                    " ",
                    x.scalar_type());
  TORCH_CHECK_NOT_IMPLEMENTED(
      !w.requires_grad() || quantized_impl(w)->training(),
      "linear: a quantized inference weight has no gradient; "
      "w.set_requires_grad(false), or train it as "
      "mantissa::fake_quantized_tensor()");
  const at::Tensor input = autocast(x);
  // One value is added to every column, as torch does.
  const bool one = bias.defined() && bias.dim() <= 1 && bias.numel() == 1;
  const at::Tensor b = one ? bias.expand({w.size(out_in ? 0 : 1)}) : bias;
  const bool grad = c10::GradMode::is_enabled() && !autograd_is_excluded() &&
                    (input.requires_grad() || w.requires_grad() ||
                     (b.defined() && b.requires_grad()));
  return grad ? with_history(input, w, b, out_in)
              : forward(input, w, b, out_in);
}

at::Tensor wrapped_grouped_linear(const at::Tensor& x,
                                  const at::Tensor& w,
                                  const std::vector<std::int64_t>& ends,
                                  bool out_in) {
  const WeightState& state = quantized_impl(w)->state();
  if (state.packed != nullptr && state.transposed != out_in &&
      !(c10::GradMode::is_enabled() && x.requires_grad())) {
    return state.rule->grouped_linear(autocast(x), ends);
  }
  const at::Tensor stored = unpacked_weight(w);
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] == begin) continue;
    const at::Tensor expert = stored.select(0, static_cast<std::int64_t>(e));
    parts.push_back(
        wrapped_linear(x.slice(0, begin, ends[e]), expert, {}, out_in));
  }
  if (begin < x.size(0) || parts.empty()) {
    parts.push_back(
        at::zeros({x.size(0) - begin, w.size(out_in ? 1 : 2)},
                  parts.empty() ? x.options() : parts.front().options()));
  }
  return at::cat(parts);
}

}  // namespace mantissa
