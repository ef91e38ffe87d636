#include "torch/tensor/structural_rules.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_to_copy.h>
#include <ATen/ops/from_blob.h>
#include <torch/library.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

WeightState transposed_state(const at::Tensor& w) {
  WeightState state = quantized_impl(w)->state();
  if (state.training()) {
    state.inner = state.inner.transpose(-2, -1);
  } else {
    state.transposed = !state.transposed;
  }
  return state;
}

at::Tensor rule_t(const at::Tensor& w) {
  TORCH_CHECK_VALUE(
      w.dim() == 2, "t: expected a quantized weight [N, K], got ", w.sizes());
  return wrap_view(w, transposed_state(w));
}

std::int64_t wrapped_dim(const at::Tensor& w, std::int64_t dim) {
  const std::int64_t rank = w.dim();
  TORCH_CHECK_INDEX(dim >= -rank && dim < rank,
                    "dimension ",
                    dim,
                    " is outside a quantized weight of ",
                    w.sizes());
  return dim < 0 ? dim + rank : dim;
}

at::Tensor rule_transpose(const at::Tensor& w,
                          std::int64_t dim0,
                          std::int64_t dim1) {
  const std::int64_t low = std::min(wrapped_dim(w, dim0), wrapped_dim(w, dim1));
  const std::int64_t high =
      std::max(wrapped_dim(w, dim0), wrapped_dim(w, dim1));
  if (low == high) return wrap_view(w, quantized_impl(w)->state());
  WeightState state = quantized_impl(w)->state();
  if (state.training()) {
    state.inner = state.inner.transpose(low, high);
    return wrap_view(w, std::move(state));
  }
  TORCH_CHECK_VALUE(low == w.dim() - 2 && high == w.dim() - 1,
                    "transpose: a quantized weight of ",
                    w.sizes(),
                    " swaps its last two dimensions only, got ",
                    dim0,
                    " and ",
                    dim1,
                    "; mantissa::dequantize(w) gives plain values");
  return wrap_view(w, transposed_state(w));
}

at::Tensor rule_detach(const at::Tensor& w) {
  return wrap_view(w, quantized_impl(w)->state());
}

at::Tensor rule_clone(const at::Tensor& w,
                      std::optional<c10::MemoryFormat> format) {
  WeightState state = quantized_impl(w)->state();
  if (state.training()) return wrap_copy(w, state.inner.clone(format));
  // What is packed is never written to.
  if (state.packed != nullptr) return wrap_weight(state, w.scalar_type());
  state.rule = nullptr;  // may come to hold other values
  for (at::Tensor& field : state.fields) field = field.clone();
  return wrap_weight(std::move(state), w.scalar_type());
}

at::Tensor rule_to_copy(const at::Tensor& w,
                        std::optional<c10::ScalarType> dtype,
                        std::optional<c10::Layout> layout,
                        std::optional<c10::Device> device,
                        std::optional<bool> pin_memory,
                        bool non_blocking,
                        std::optional<c10::MemoryFormat> format) {
  WeightState state = quantized_impl(w)->state();
  const c10::ScalarType type = dtype.value_or(w.scalar_type());
  TORCH_CHECK_TYPE(c10::isFloatingType(type),
                   "to: a quantized weight has a floating dtype, got ",
                   type);
  if (state.training()) {
    return wrap_copy(w,
                     at::_to_copy(state.inner,
                                  dtype,
                                  layout,
                                  device,
                                  pin_memory,
                                  non_blocking,
                                  format));
  }
  if (state.packed != nullptr) {
    if (!device || device->is_cpu()) return wrap_weight(state, type);
    state = state.unpacked();
  }
  // Another dtype is that of the values; the fields keep their bits.
  state.rule = nullptr;
  for (at::Tensor& field : state.fields) {
    field = at::_to_copy(field,
                         std::nullopt,
                         layout,
                         device,
                         pin_memory,
                         non_blocking,
                         std::nullopt);
  }
  return wrap_weight(std::move(state), type);
}

// Stored dimension of a logical one.
std::int64_t stored_dim(const WeightState& state, std::int64_t dim) {
  const auto rank = static_cast<std::int64_t>(state.encoding->shape().size());
  if (!state.transposed || dim < rank - 2) return dim;
  return dim == rank - 1 ? rank - 2 : rank - 1;
}

at::Tensor rule_select(const at::Tensor& w,
                       std::int64_t dim,
                       c10::SymInt index) {
  const std::int64_t at = wrapped_dim(w, dim);
  std::int64_t i = index.expect_int();
  TORCH_CHECK_INDEX(i >= -w.size(at) && i < w.size(at),
                    "select: index ",
                    i,
                    " is outside dimension ",
                    at,
                    " of a quantized weight of ",
                    w.sizes());
  if (i < 0) i += w.size(at);
  WeightState state = quantized_impl(w)->state().unpacked();
  if (state.training()) {
    state.inner = state.inner.select(at, i);
    return wrap_view(w, std::move(state));
  }
  TORCH_CHECK_VALUE(w.dim() == 3 && at == 0,
                    "select: dimension 0 of experts [E, N, K] can be selected, "
                    "got dimension ",
                    at,
                    " of ",
                    w.sizes(),
                    "; mantissa::dequantize(w) gives plain values");
  TensorFields part = select_fields(*state.encoding, state.fields, i);
  state.rule = nullptr;
  state.encoding = std::move(part.encoding);
  state.fields = std::move(part.fields);
  return wrap_view(w, std::move(state));
}

at::Tensor sliced(const at::Tensor& w,
                  std::int64_t dim,
                  std::int64_t begin,
                  std::int64_t end) {
  WeightState state = quantized_impl(w)->state();
  if (state.training()) {
    state.inner = state.inner.slice(dim, begin, end);
    return wrap_view(w, std::move(state));
  }
  if (begin != 0 || end != w.size(dim)) {
    state = state.unpacked();
    TensorFields part = slice_fields(
        *state.encoding, state.fields, stored_dim(state, dim), begin, end);
    state.rule = nullptr;
    state.encoding = std::move(part.encoding);
    state.fields = std::move(part.fields);
  }
  return wrap_view(w, std::move(state));
}

at::Tensor rule_slice(const at::Tensor& w,
                      std::int64_t dim,
                      std::optional<c10::SymInt> start,
                      std::optional<c10::SymInt> end,
                      c10::SymInt step) {
  const std::int64_t d = wrapped_dim(w, dim);
  const std::int64_t size = w.size(d);
  const auto clamped = [size](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const std::int64_t first = clamped(start ? start->expect_int() : 0);
  const std::int64_t last =
      std::max(first, clamped(end ? end->expect_int() : size));
  TORCH_CHECK_VALUE(step.expect_int() == 1,
                    "slice: a quantized weight is cut with step 1, got ",
                    step,
                    "; mantissa::dequantize(w) gives plain values");
  return sliced(w, d, first, last);
}

std::vector<at::Tensor> rule_split(const at::Tensor& w,
                                   c10::SymInt split_size,
                                   std::int64_t dim) {
  const std::int64_t d = wrapped_dim(w, dim);
  const std::int64_t step = split_size.expect_int();
  TORCH_CHECK_VALUE(
      step > 0, "split: expected a size of at least 1, got ", step);
  std::vector<at::Tensor> parts;
  for (std::int64_t at = 0; at < w.size(d); at += step) {
    parts.push_back(sliced(w, d, at, std::min(at + step, w.size(d))));
  }
  return parts;
}

at::Tensor rule_view(const at::Tensor& w, c10::SymIntArrayRef sizes) {
  WeightState state = quantized_impl(w)->state();
  if (state.training()) {
    state.inner = state.inner.view_symint(sizes);
    return wrap_view(w, std::move(state));
  }
  std::int64_t known = 1;
  Shape wanted;
  for (const c10::SymInt& size : sizes) wanted.push_back(size.expect_int());
  for (const std::int64_t size : wanted) known *= size < 0 ? 1 : size;
  for (std::int64_t& size : wanted) {
    if (size < 0 && known > 0) size = w.numel() / known;
  }
  TORCH_CHECK_VALUE(c10::IntArrayRef(wanted) == w.sizes(),
                    "view: a quantized weight of ",
                    w.sizes(),
                    " keeps its shape, since its scales belong to it; got ",
                    c10::IntArrayRef(wanted),
                    "; mantissa::dequantize(w) gives plain values");
  return wrap_view(w, std::move(state));
}

void require_same_layout(const WeightState& to, const WeightState& from) {
  const Encoding& a = *to.encoding;
  const Encoding& b = *from.encoding;
  TORCH_CHECK_VALUE(a.format_name() == b.format_name() &&
                        a.shape() == b.shape() &&
                        a.attributes_json() == b.attributes_json() &&
                        to.transposed == from.transposed &&
                        to.fields.size() == from.fields.size(),
                    "copy_: the weights are stored differently: ",
                    std::string(a.format_name()),
                    " ",
                    a.attributes_json(),
                    " and ",
                    std::string(b.format_name()),
                    " ",
                    b.attributes_json());
}

// Checkpoint loading: the same format, attributes and shape.
at::Tensor& rule_copy(at::Tensor& self,
                      const at::Tensor& from,
                      bool non_blocking) {
  QuantizedTensorImpl* to = quantized_impl(self);
  const QuantizedTensorImpl* source = quantized_impl(from);
  if (to == nullptr) {  // a plain tensor takes the values
    self.copy_(source->dense(), non_blocking);
    return self;
  }
  if (to->training()) {
    at::Tensor inner = to->state().inner;
    inner.copy_(source == nullptr ? from : source->dense(), non_blocking);
    return self;
  }
  TORCH_CHECK_VALUE(source != nullptr && !source->training(),
                    "copy_: only a quantized weight of the same format can be "
                    "copied into a quantized weight; "
                    "mantissa::to_quantized_tensor(values, encoding) encodes "
                    "plain values");
  TORCH_CHECK_VALUE(to->state().packed == nullptr,
                    "copy_: a packed weight is read-only; "
                    "mantissa::replace_parameter() takes another one");
  const WeightState other = source->state().unpacked();
  require_same_layout(to->state(), other);
  for (std::size_t i = 0; i < to->state().fields.size(); ++i) {
    at::Tensor field = to->state().fields[i];
    field.copy_(other.fields[i], non_blocking);
  }
  to->state().rule->observe(to->state().fields);
  return self;
}

// torch::load(module) reads a plain tensor and sets it.
at::Tensor& rule_set(at::Tensor& self, const at::Tensor& source) {
  QuantizedTensorImpl* to = quantized_impl(self);
  TORCH_CHECK_VALUE(to != nullptr && to->training() && !is_wrapped(source) &&
                        source.sizes() == self.sizes(),
                    "set_: a quantized weight cannot take the storage of "
                    "another tensor; mantissa::dequantize_(module) gives "
                    "plain weights to load into");
  at::Tensor inner = to->state().inner;
  inner.copy_(source);
  return self;
}

}  // namespace

void register_structural_rules(torch::Library& aten) {
  aten.impl("t", TORCH_FN(rule_t));
  aten.impl("transpose.int", TORCH_FN(rule_transpose));
  aten.impl("detach", TORCH_FN(rule_detach));
  aten.impl("alias", TORCH_FN(rule_detach));
  aten.impl("clone", TORCH_FN(rule_clone));
  aten.impl("_to_copy", TORCH_FN(rule_to_copy));
  aten.impl("select.int", TORCH_FN(rule_select));
  aten.impl("slice.Tensor", TORCH_FN(rule_slice));
  aten.impl("split.Tensor", TORCH_FN(rule_split));
  aten.impl("view", TORCH_FN(rule_view));
  aten.impl("copy_", TORCH_FN(rule_copy));
  aten.impl("set_.source_Tensor", TORCH_FN(rule_set));
}

}  // namespace mantissa
