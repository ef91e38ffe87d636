#include "torch/tensor/compute_rules.h"

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_grouped_mm.h>
#include <ATen/ops/_has_compatible_shallow_copy_type.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/stack.h>
#include <torch/library.h>

#include <mantissa/torch/quantized_tensor.h>

#include "kernels/grouped_lowbit.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/linear_node.h"
#include "torch/tensor/lowbit_rule.h"
#include "torch/tensor/packed_embedding.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using at::Tensor;
using c10::DispatchKey;
using c10::DispatchKeySet;

constexpr DispatchKeySet kBelow(DispatchKeySet::FULL_AFTER,
                                DispatchKey::DeferredInit);

bool is_matrix(const Tensor& tensor) {
  return tensor.dim() == 2 && is_wrapped(tensor);
}

Tensor rule_linear(DispatchKeySet keys,
                   const Tensor& x,
                   const Tensor& w,
                   const std::optional<Tensor>& bias) {
  if (is_matrix(w) && !is_wrapped(x)) {
    return wrapped_linear(x, w, bias.value_or(Tensor()), true);
  }
  return at::_ops::linear::redispatch(keys & kBelow, x, w, bias);
}

// W * x is (x^T * W^T)^T.
Tensor left_product(const Tensor& w, const Tensor& x) {
  return wrapped_linear(x.t(), w, {}, true).t();
}

Tensor rule_mm(DispatchKeySet keys, const Tensor& a, const Tensor& b) {
  if (is_matrix(b) && !is_wrapped(a)) return wrapped_linear(a, b, {}, false);
  if (is_matrix(a) && !is_wrapped(b)) return left_product(a, b);
  return at::_ops::mm::redispatch(keys & kBelow, a, b);
}

// Declined cases are composites: they come back as mm, bmm or mv.
Tensor rule_matmul(DispatchKeySet keys, const Tensor& a, const Tensor& b) {
  if (is_matrix(b) && !is_wrapped(a) && a.dim() >= 2) {
    return wrapped_linear(a, b, {}, false);
  }
  return at::_ops::matmul::redispatch(keys & kBelow, a, b);
}

Tensor rule_addmm(DispatchKeySet keys,
                  const Tensor& c,
                  const Tensor& a,
                  const Tensor& b,
                  const c10::Scalar& beta,
                  const c10::Scalar& alpha) {
  const bool right = is_matrix(b) && !is_wrapped(a);
  const bool left = is_matrix(a) && !is_wrapped(b);
  if (!right && !left) {
    return at::_ops::addmm::redispatch(keys & kBelow, c, a, b, beta, alpha);
  }
  if (right && c.dim() == 1 && beta.equal(1) && alpha.equal(1)) {
    return wrapped_linear(a, b, c, false);
  }
  const Tensor product =
      right ? wrapped_linear(a, b, {}, false) : left_product(a, b);
  return c.mul(beta).add(product.mul(alpha));
}

Tensor rule_mv(DispatchKeySet keys, const Tensor& a, const Tensor& v) {
  if (is_matrix(a) && !is_wrapped(v)) {
    return wrapped_linear(v.unsqueeze(0), a, {}, true).squeeze(0);
  }
  return at::_ops::mv::redispatch(keys & kBelow, a, v);
}

// Expert by expert.
Tensor rule_bmm(DispatchKeySet keys, const Tensor& a, const Tensor& b) {
  const bool right = is_wrapped(b) && !is_wrapped(a);
  const bool left = is_wrapped(a) && !is_wrapped(b);
  if (!right && !left) {
    return at::_ops::bmm::redispatch(keys & kBelow, a, b);
  }
  TORCH_CHECK_VALUE(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0),
                    "bmm: expected [E, M, K] and [E, K, N], got ",
                    a.sizes(),
                    " and ",
                    b.sizes());
  const Tensor first = left ? unpacked_weight(a) : a;
  const Tensor second = right ? unpacked_weight(b) : b;
  std::vector<Tensor> products;
  for (std::int64_t e = 0; e < a.size(0); ++e) {
    const Tensor x = first.select(0, e);
    const Tensor y = second.select(0, e);
    products.push_back(right ? wrapped_linear(x, y, {}, false)
                             : left_product(x, y));
  }
  return at::stack(products);
}

// Where the rows of each expert end.
std::vector<std::int64_t> checked_ends(const Tensor& offs,
                                       std::int64_t experts,
                                       std::int64_t rows) {
  TORCH_CHECK_VALUE(offs.dim() == 1,
                    "_grouped_mm: offs: expected ",
                    experts,
                    " offsets, got ",
                    offs.sizes());
  const Tensor wide = offs.cpu().to(c10::kLong).contiguous();
  const auto* end = wide.const_data_ptr<std::int64_t>();
  std::vector<std::int64_t> ends(end, end + wide.numel());
  const std::string error = kernels::grouped_ends_error(ends, experts, rows);
  TORCH_CHECK_VALUE(error.empty(), "_grouped_mm: offs: ", error);
  return ends;
}

// Rows [offs[e - 1], offs[e]) of x times expert e; rows behind the last offset
// are 0.
Tensor rule_grouped_mm(DispatchKeySet keys,
                       const Tensor& x,
                       const Tensor& w,
                       const std::optional<Tensor>& offs,
                       const std::optional<Tensor>& bias,
                       std::optional<c10::ScalarType> out_dtype) {
  if (!is_wrapped(w) || is_wrapped(x)) {
    return at::_ops::_grouped_mm::redispatch(
        keys & kBelow, x, w, offs, bias, out_dtype);
  }
  TORCH_CHECK_NOT_IMPLEMENTED(
      x.dim() == 2 && w.dim() == 3 && offs && offs->defined() &&
          (!bias || !bias->defined()),
      "_grouped_mm: a quantized weight takes x [T, K], w [E, K, N] and offs "
      "[E] without a bias, got ",
      x.sizes(),
      " and ",
      w.sizes());
  const auto ends = checked_ends(*offs, w.size(0), x.size(0));
  const Tensor y = wrapped_grouped_linear(x, w, ends, false);
  return out_dtype ? y.to(*out_dtype) : y;
}

Tensor rule_embedding(DispatchKeySet keys,
                      const Tensor& w,
                      const Tensor& indices,
                      c10::SymInt padding_idx,
                      bool scale_grad_by_freq,
                      bool sparse) {
  if (!is_matrix(w)) {
    return at::_ops::embedding::redispatch(keys & kBelow,
                                           w,
                                           indices,
                                           std::move(padding_idx),
                                           scale_grad_by_freq,
                                           sparse);
  }
  if (Tensor rows = packed_embedding(w, indices); rows.defined()) return rows;
  const WeightState& state = quantized_impl(w)->state();
  // Rows of a table are decoded one by one, unless most of it is asked for.
  if (!state.training() && !state.transposed && w.device().is_cpu() &&
      indices.numel() < w.size(0)) {
    return decode_rows(*state.encoding, state.fields, indices)
        .to(w.scalar_type());
  }
  return at::embedding_symint(mantissa::dequantize(w),
                              indices,
                              std::move(padding_idx),
                              scale_grad_by_freq,
                              sparse);
}

// set_data() asks before it goes on: module->to() and clone() come here.
bool rule_compatible(const Tensor& self, const Tensor& from) {
  TORCH_CHECK(is_wrapped(self) == is_wrapped(from),
              "mantissa: the data of a quantized weight and of a plain tensor "
              "cannot be exchanged. Remedy: mantissa::clone_module(module) "
              "copies a module, mantissa::replace_parameter() replaces a "
              "parameter");
  return true;
}

}  // namespace

void register_compute_rules(torch::Library& aten) {
  aten.impl("linear", TORCH_FN(rule_linear));
  aten.impl("mm", TORCH_FN(rule_mm));
  aten.impl("matmul", TORCH_FN(rule_matmul));
  aten.impl("addmm", TORCH_FN(rule_addmm));
  aten.impl("mv", TORCH_FN(rule_mv));
  aten.impl("bmm", TORCH_FN(rule_bmm));
  aten.impl("_grouped_mm", TORCH_FN(rule_grouped_mm));
  aten.impl("embedding", TORCH_FN(rule_embedding));
  aten.impl("_has_compatible_shallow_copy_type", TORCH_FN(rule_compatible));
}

}  // namespace mantissa
