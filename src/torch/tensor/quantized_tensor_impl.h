#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>

#include <mantissa/formats/encoding.h>
#include <mantissa/torch/int8_compute.h>

#include "formats/lowbit_weight.h"
#include "torch/tensor/product_rule.h"
#include "torch/tensor/training_op.h"

namespace mantissa {

/// What a quantized tensor holds: fields and their encoding (inference), or
/// high-precision values and an op (training).
struct WeightState {
  std::shared_ptr<const Encoding> encoding = {};
  std::vector<at::Tensor> fields = {};
  bool transposed = false;  ///< the last two dimensions are swapped
  /// How products use the fields; null until the weight is wrapped.
  std::shared_ptr<ProductRule> rule = {};
  /// In place of `fields`, on the CPU: the runtime layout of linear_lowbit,
  /// which `rule` multiplies with activations quantized as `packed_for` says.
  std::shared_ptr<const LowbitWeight> packed = {};
  Int8Compute packed_for = Int8Compute::None;

  at::Tensor inner = {};
  std::shared_ptr<const TrainingOp> op = {};

  bool training() const { return op != nullptr; }
  c10::Device device() const;
  /// The same weight with its fields, not packed.
  WeightState unpacked() const;
};

/// A weight without dense storage in libtorch's dispatcher: keys DeferredInit
/// (products), the device's autograd, ADInplaceOrView and Fake (structure, and
/// the dequantizing fallback).
class QuantizedTensorImpl final : public c10::TensorImpl {
 public:
  QuantizedTensorImpl(WeightState state,
                      c10::ScalarType dtype,
                      c10::DispatchKeySet keys);

  const WeightState& state() const { return state_; }
  bool training() const { return state_.training(); }
  /// The values, plain and in the logical dtype; shared for a training weight.
  at::Tensor dense() const;
  /// The values of an inference weight as it is stored, not transposed.
  at::Tensor stored_values() const;

  /// A view keeps the keys and the version counter of its base, also in
  /// InferenceMode.
  void be_view_of(const c10::TensorImpl& base);

  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(
      const c10::VariableVersion& version,
      bool allow_tensor_metadata_change) const override;
  c10::intrusive_ptr<c10::TensorImpl> shallow_copy_and_detach(
      c10::VariableVersion&& version,
      bool allow_tensor_metadata_change) const override;
  void shallow_copy_from(
      const c10::intrusive_ptr<c10::TensorImpl>& impl) override;
  void release_resources() override;
  const char* tensorimpl_type_name() const override;

 private:
  void share_version();

  WeightState state_;
};

/// The impl of a tensor of ours, or null.
QuantizedTensorImpl* quantized_impl(const at::Tensor& tensor);
inline bool is_wrapped(const at::Tensor& tensor) {
  return quantized_impl(tensor) != nullptr;
}

/// A new weight, [sizes of the state] in this dtype.
at::Tensor wrap_weight(WeightState state, c10::ScalarType dtype);
/// A new training weight with the op of `w` and these values, which have its
/// sizes.
at::Tensor wrap_copy(const at::Tensor& w, at::Tensor values);
/// A view of `base` that holds `state`.
at::Tensor wrap_view(const at::Tensor& base, WeightState state);

}  // namespace mantissa
