#include <mantissa/torch/fake_quantize.h>

#include <cmath>
#include <utility>

#include <ATen/ops/as_strided.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <mantissa/torch/quantized_tensor.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

bool is_same_view(const at::Tensor& a, const at::Tensor& b) {
  return a.is_alias_of(b) && a.storage_offset() == b.storage_offset() &&
         a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

// Elements of memory from the first to the last one of a tensor.
std::int64_t span_of(const at::Tensor& w) {
  std::int64_t span = 1;
  for (std::int64_t dim = 0; dim < w.dim(); ++dim) {
    if (w.size(dim) == 0) return 0;
    span += (w.size(dim) - 1) * w.stride(dim);
  }
  return span;
}

class FakeQuantizeOp final : public TrainingOp {
 public:
  /// `whole` is the weight [N, K] of the encoding's shape; undefined for the
  /// copy of a part, which has no scales.
  FakeQuantizeOp(std::shared_ptr<const Encoding> encoding, at::Tensor whole)
      : encoding_(std::move(encoding)), whole_(std::move(whole)) {}

  std::string_view name() const override { return "fake quantized"; }

  at::Tensor linear(const at::Tensor& x,
                    const at::Tensor& w,
                    const at::Tensor& bias) const override {
    return at::linear(x, rounded(w).to(x.scalar_type()), bias);
  }
  at::Tensor input_gradient(const at::Tensor& g,
                            const at::Tensor& w) const override {
    return at::mm(g, rounded(w).to(g.scalar_type()));
  }
  at::Tensor weight_gradient(const at::Tensor& x,
                             const at::Tensor& g,
                             const at::Tensor& w) const override {
    return at::mm(g.t(), x.to(g.scalar_type())).to(w.scalar_type());
  }

  std::shared_ptr<const TrainingOp> copied(
      const at::Tensor& w, const at::Tensor& copy) const override {
    at::Tensor whole;
    if (whole_.defined() && is_same_view(w, whole_)) {
      whole = copy;
    } else if (whole_.defined() && w.dim() == 2 &&
               is_same_view(w.t(), whole_)) {
      whole = copy.t();
    }
    return std::make_shared<FakeQuantizeOp>(encoding_, std::move(whole));
  }

 private:
  // A view has the values of the whole weight's grid, those that stand where
  // its elements stand.
  at::Tensor rounded(const at::Tensor& w) const {
    const std::int64_t offset =
        whole_.defined() ? w.storage_offset() - whole_.storage_offset() : 0;
    TORCH_CHECK_NOT_IMPLEMENTED(
        whole_.defined() && w.is_alias_of(whole_) &&
            w.scalar_type() == whole_.scalar_type() && offset >= 0 &&
            offset + span_of(w) <= span_of(whole_),
        "fake quantized: ",
        w.sizes(),
        " is a copy of a part of a weight of ",
        c10::IntArrayRef(encoding_->shape()),
        ", whose scales belong to the whole. Multiply with the part itself, or "
        "make a weight of the copy: mantissa::fake_quantized_tensor("
        "mantissa::dequantize(copy), encoding)");
    const at::Tensor values = rounded_whole();
    if (is_same_view(w, whole_)) return values;
    // What lies between the elements of a strided weight is none of it.
    const at::Tensor memory =
        whole_.is_contiguous()
            ? values.flatten()
            : at::full({span_of(whole_)}, std::nan(""), values.options());
    if (!whole_.is_contiguous()) {
      memory.as_strided(whole_.sizes(), whole_.strides()).copy_(values);
    }
    return memory.as_strided(w.sizes(), w.strides(), offset);
  }

  // After module->to(dtype) the weight is rounded in the encoding's dtype.
  at::Tensor rounded_whole() const {
    return mantissa::dequantize(to_quantized_tensor(
        whole_.to(scalar_type_of(encoding_->dtype())), encoding_));
  }

  std::shared_ptr<const Encoding> encoding_;
  at::Tensor whole_;  // shares the memory of the weight
};

}  // namespace

at::Tensor fake_quantized_tensor(
    const at::Tensor& weight, const std::shared_ptr<const Encoding>& encoding) {
  TORCH_CHECK_VALUE(encoding != nullptr, "fake_quantized_tensor: no encoding");
  TORCH_CHECK_VALUE(
      !is_wrapped(weight) && weight.dim() == 2 &&
          weight.sizes() == c10::IntArrayRef(encoding->shape()) &&
          weight.scalar_type() == scalar_type_of(encoding->dtype()),
      "fake_quantized_tensor: weight: expected plain ",
      std::string(name(encoding->dtype())),
      " ",
      c10::IntArrayRef(encoding->shape()),
      ", got ",
      describe(weight));
  WeightState state;
  state.inner = weight.detach();
  state.op = std::make_shared<FakeQuantizeOp>(encoding, state.inner.alias());
  at::Tensor wrapped = wrap_weight(std::move(state), weight.scalar_type());
  wrapped.set_requires_grad(true);
  return wrapped;
}

}  // namespace mantissa
