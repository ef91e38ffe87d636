#include "torch/models/feed_forward.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>

#include "torch/models/row_ops.h"
#include "torch/tensor/linear_node.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::Silu:
      return at::silu(x);
    case Activation::Gelu:
      return at::gelu(x, "none");
    case Activation::GeluTanh:
      return at::gelu(x, "tanh");
  }
  return x;
}

GatedMlp::GatedMlp(const DecoderConfig& config, c10::ScalarType dtype)
    : activation_(config.activation) {
  const std::int64_t wide = config.intermediate;
  const bool bias = config.mlp_bias;
  gate_ = register_module("gate_proj",
                          make_linear(config.hidden, wide, bias, dtype));
  up_ =
      register_module("up_proj", make_linear(config.hidden, wide, bias, dtype));
  down_ = register_module("down_proj",
                          make_linear(wide, config.hidden, bias, dtype));
}

at::Tensor GatedMlp::forward(const at::Tensor& x) {
  const auto both = forward_each(x, {&gate_, &up_});
  const at::Tensor& gate = both[0];
  const at::Tensor& up = both[1];
  // Gates by gelu are scalar in the kernels.
  if (activation_ != Activation::Silu || !takes_row_ops(gate) ||
      !takes_row_ops(up)) {
    return down_->forward(activate(gate, activation_) * up);
  }
  silu_rows(gate, up);
  return down_->forward(gate);
}

Experts::Experts(const DecoderConfig& config, c10::ScalarType dtype)
    : experts_(config.experts.experts), activation_(config.activation) {
  const std::int64_t wide = config.experts.intermediate;
  register_parameter("gate_up_proj",
                     meta_parameter({experts_, 2 * wide, config.hidden}, dtype),
                     false);
  register_parameter("down_proj",
                     meta_parameter({experts_, config.hidden, wide}, dtype),
                     false);
}

namespace {

// Rows [ends[e - 1], ends[e]) of x times expert e of w [E, N, K].
at::Tensor multiply_experts(const at::Tensor& x,
                            const at::Tensor& w,
                            const std::vector<std::int64_t>& ends) {
  if (is_wrapped(w)) return wrapped_grouped_linear(x, w, ends, true);
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] == begin) continue;
    parts.push_back(at::linear(x.narrow(0, begin, ends[e] - begin),
                               w.select(0, static_cast<std::int64_t>(e))));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor Experts::forward(const at::Tensor& x,
                            const at::Tensor& chosen,
                            const at::Tensor& weights) {
  const at::Tensor listed = chosen.cpu().contiguous();
  const auto* expert = listed.const_data_ptr<std::int64_t>();
  // Where in [T * S] each expert was chosen, expert by expert.
  std::vector<std::int64_t> ends(static_cast<std::size_t>(experts_));
  for (std::int64_t i = 0; i < listed.numel(); ++i) {
    ++ends[static_cast<std::size_t>(expert[i])];
  }
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::vector<std::int64_t> places(static_cast<std::size_t>(listed.numel()));
  std::iota(places.begin(), places.end(), 0);
  std::ranges::stable_sort(
      places, {}, [&](std::int64_t place) { return expert[place]; });
  const at::Tensor place = at::tensor(places, at::kLong).to(x.device());
  const at::Tensor token = place.div(chosen.size(1), /*rounding_mode=*/"floor");
  // The registry is the one place of the weights: quantize_() and loaders
  // replace them there.
  const at::Tensor both = multiply_experts(
      at::index_select(x, 0, token), parameters_["gate_up_proj"], ends);
  const std::int64_t half = both.size(1) / 2;
  const at::Tensor inner = activate(both.narrow(1, 0, half), activation_) *
                           both.narrow(1, half, half);
  const at::Tensor y = multiply_experts(inner, parameters_["down_proj"], ends);
  // Each result to a place of its own, so that a GPU adds in one order too.
  const at::Tensor placed = at::zeros({place.size(0), y.size(1)}, x.options());
  placed.index_copy_(
      0, place, y * at::index_select(weights.reshape({-1, 1}), 0, place));
  return placed.reshape({x.size(0), chosen.size(1), y.size(1)}).sum(1);
}

Router::Router(const DecoderConfig& config, c10::ScalarType dtype) {
  register_parameter(
      "weight",
      meta_parameter({config.experts.experts, config.hidden}, dtype),
      false);
}

at::Tensor Router::forward(const at::Tensor& x) {
  return at::linear(x, parameters_["weight"]);
}

SparseExperts::SparseExperts(const DecoderConfig& config, c10::ScalarType dtype)
    : config_(config.experts) {
  router_ = register_module("gate", std::make_shared<Router>(config, dtype));
  experts_ =
      register_module("experts", std::make_shared<Experts>(config, dtype));
}

at::Tensor SparseExperts::forward(const at::Tensor& x) {
  const at::Tensor rows = x.reshape({-1, x.size(-1)});
  const at::Tensor scores = at::softmax(router_->forward(rows), -1, at::kFloat);
  auto [weights, chosen] = at::topk(scores, config_.experts_per_token, -1);
  if (config_.normalize) {
    weights = weights / weights.sum(-1, /*keepdim=*/true);
  }
  return experts_->forward(rows, chosen, weights.to(x.scalar_type()))
      .view(x.sizes());
}

}  // namespace mantissa
