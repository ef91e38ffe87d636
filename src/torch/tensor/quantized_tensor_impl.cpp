#include "torch/tensor/quantized_tensor_impl.h"

#include <algorithm>
#include <utility>

#include <c10/core/DispatchKeySet.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

using c10::DispatchKey;
using c10::DispatchKeySet;

constexpr const char* kNoStorage =
    "mantissa: a quantized weight has no dense storage. Remedy: "
    "mantissa::dequantize_(module) gives plain weights back before "
    "torch::save(), mantissa::dequantize(tensor) gives plain values, "
    "mantissa::clone_module(module) copies a module";

DispatchKeySet keys_for(c10::Device device) {
  const DispatchKey backend = device.is_meta()   ? DispatchKey::Meta
                              : device.is_cuda() ? DispatchKey::CUDA
                                                 : DispatchKey::CPU;
  // No dense functionality: nothing may reach a kernel that wants storage.
  return DispatchKeySet{
      DispatchKey::DeferredInit,
      DispatchKey::Fake,
      DispatchKey::ADInplaceOrView,
      c10::getAutogradKeyFromBackend(c10::toBackendComponent(backend))};
}

Shape logical_shape(const WeightState& state) {
  Shape shape = state.encoding->shape();
  if (state.transposed)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  return shape;
}

// Row-major strides of the stored weight, seen through the transposition.
Shape logical_strides(const WeightState& state) {
  const Shape& shape = state.encoding->shape();
  Shape strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
  }
  if (state.transposed) {
    std::swap(strides[strides.size() - 1], strides[strides.size() - 2]);
  }
  return strides;
}

}  // namespace

c10::Device WeightState::device() const {
  if (packed != nullptr) return c10::Device(c10::kCPU);
  return (training() ? inner : fields.front()).device();
}

WeightState WeightState::unpacked() const {
  WeightState out = *this;
  if (packed == nullptr) return out;
  std::vector<HostTensor> stored =
      with_torch_errors([&] { return packed->fields(); });
  for (HostTensor& field : stored) {
    out.fields.push_back(from_host(std::move(field)));
  }
  out.packed = nullptr;
  out.packed_for = Int8Compute::None;
  out.rule = nullptr;
  return out;
}

QuantizedTensorImpl::QuantizedTensorImpl(WeightState state,
                                         c10::ScalarType dtype,
                                         DispatchKeySet keys)
    : c10::TensorImpl(keys, c10::scalarTypeToTypeMeta(dtype), state.device()),
      state_(std::move(state)) {
  if (!training() && state_.rule == nullptr) {
    state_.rule = product_rule_of(*state_.encoding);
    state_.rule->observe(state_.fields);
  }
  // What torch::save(), data_ptr() and module->clone() end in.
  release_storage_and_set_meta_custom_data_ptr_error_msg_(kNoStorage);
  if (training()) {
    set_sizes_and_strides(state_.inner.sizes(),
                          state_.inner.strides(),
                          state_.inner.storage_offset());
  } else {
    set_sizes_and_strides(logical_shape(state_), logical_strides(state_));
  }
  // In-place updates of the wrapper and of its values count as one.
  if (training() && !is_inference() && !state_.inner.is_inference()) {
    set_version_counter(state_.inner.unsafeGetTensorImpl()->version_counter());
  }
}

at::Tensor QuantizedTensorImpl::stored_values() const {
  return decode_fields(*state_.encoding, state_.unpacked().fields)
      .to(c10::typeMetaToScalarType(dtype()));
}

at::Tensor QuantizedTensorImpl::dense() const {
  if (training()) return state_.inner;
  const at::Tensor values = stored_values();
  return state_.transposed ? values.transpose(-2, -1) : values;
}

void QuantizedTensorImpl::be_view_of(const c10::TensorImpl& base) {
  key_set_ = base.key_set();
  if (!is_inference()) version_counter_ = base.version_counter();
  share_version();
}

// The values take our counter.
void QuantizedTensorImpl::share_version() {
  if (!training() || is_inference() || state_.inner.is_inference()) return;
  state_.inner.unsafeGetTensorImpl()->set_version_counter(version_counter());
}

c10::intrusive_ptr<c10::TensorImpl>
QuantizedTensorImpl::shallow_copy_and_detach(
    const c10::VariableVersion& version,
    bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<QuantizedTensorImpl>(
      state_, c10::typeMetaToScalarType(dtype()), key_set());
  copy_tensor_metadata(this, copy.get(), version, allow_tensor_metadata_change);
  return copy;
}

c10::intrusive_ptr<c10::TensorImpl>
QuantizedTensorImpl::shallow_copy_and_detach(
    c10::VariableVersion&& version, bool allow_tensor_metadata_change) const {
  auto copy = c10::make_intrusive<QuantizedTensorImpl>(
      state_, c10::typeMetaToScalarType(dtype()), key_set());
  copy_tensor_metadata(
      this, copy.get(), std::move(version), allow_tensor_metadata_change);
  return copy;
}

void QuantizedTensorImpl::shallow_copy_from(
    const c10::intrusive_ptr<c10::TensorImpl>& impl) {
  const auto* from = dynamic_cast<const QuantizedTensorImpl*>(impl.get());
  TORCH_CHECK(from != nullptr,
              "mantissa: the data of a quantized weight cannot become a plain "
              "tensor; mantissa::dequantize_(module) does that");
  copy_tensor_metadata(
      from, this, version_counter(), allow_tensor_metadata_change());
  state_ = from->state_;
  // An own handle, since the counter below is ours.
  if (training()) state_.inner = state_.inner.alias();
  share_version();
}

void QuantizedTensorImpl::release_resources() {
  state_ = {};
  c10::TensorImpl::release_resources();
}

const char* QuantizedTensorImpl::tensorimpl_type_name() const {
  return "mantissa::QuantizedTensorImpl";
}

QuantizedTensorImpl* quantized_impl(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.key_set().has(DispatchKey::DeferredInit)) {
    return nullptr;
  }
  return dynamic_cast<QuantizedTensorImpl*>(tensor.unsafeGetTensorImpl());
}

at::Tensor wrap_weight(WeightState state, c10::ScalarType dtype) {
  const DispatchKeySet keys = keys_for(state.device());
  return at::Tensor(
      c10::make_intrusive<QuantizedTensorImpl>(std::move(state), dtype, keys));
}

at::Tensor wrap_copy(const at::Tensor& w, at::Tensor values) {
  WeightState state = quantized_impl(w)->state();
  if (auto op = state.op->copied(state.inner, values)) state.op = std::move(op);
  const c10::ScalarType dtype = values.scalar_type();
  state.inner = std::move(values);
  return wrap_weight(std::move(state), dtype);
}

at::Tensor wrap_view(const at::Tensor& base, WeightState state) {
  auto view = c10::make_intrusive<QuantizedTensorImpl>(
      std::move(state), base.scalar_type(), base.key_set());
  view->be_view_of(*base.unsafeGetTensorImpl());
  return at::Tensor(std::move(view));
}

}  // namespace mantissa
