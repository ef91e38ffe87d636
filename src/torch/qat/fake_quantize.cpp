#include <mantissa/torch/fake_quantize.h>

#include <utility>
#include <vector>

#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <mantissa/torch/quantized_tensor.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

// A part of a dimension.
struct Slice {
  std::int64_t dim;
  std::int64_t begin;
  std::int64_t end;
};

bool is_turned(const at::Tensor& w) {
  return !w.is_contiguous() && w.t().is_contiguous();
}

class FakeQuantizeOp final : public TrainingOp {
 public:
  explicit FakeQuantizeOp(std::shared_ptr<const Encoding> encoding)
      : encoding_(std::move(encoding)) {}

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

  // A part has the values of the whole weight's grid.
  std::shared_ptr<const TrainingOp> sliced(const at::Tensor& w,
                                           std::int64_t dim,
                                           std::int64_t begin,
                                           std::int64_t end) const override {
    auto part = std::make_shared<FakeQuantizeOp>(*this);
    if (!part->whole_.defined()) part->whole_ = w;
    part->slices_.push_back({dim, begin, end});
    return part;
  }

 private:
  at::Tensor rounded(const at::Tensor& w) const {
    if (!whole_.defined()) return rounded_whole(w);
    at::Tensor view = whole_;
    at::Tensor values = is_turned(whole_) ? rounded_whole(whole_.t()).t()
                                          : rounded_whole(whole_);
    for (const Slice& slice : slices_) {
      view = view.slice(slice.dim, slice.begin, slice.end);
      values = values.slice(slice.dim, slice.begin, slice.end);
    }
    const bool as_sliced =
        w.sizes() == view.sizes() && w.strides() == view.strides();
    return as_sliced ? values : values.t();
  }

  // After module->to(dtype) the weight is rounded in the encoding's dtype.
  at::Tensor rounded_whole(const at::Tensor& w) const {
    return mantissa::dequantize(to_quantized_tensor(
        w.to(scalar_type_of(encoding_->dtype())), encoding_));
  }

  std::shared_ptr<const Encoding> encoding_;
  at::Tensor whole_;  // of a part: the weight it is cut from
  std::vector<Slice> slices_;
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
  state.op = std::make_shared<FakeQuantizeOp>(encoding);
  at::Tensor wrapped = wrap_weight(std::move(state), weight.scalar_type());
  wrapped.set_requires_grad(true);
  return wrapped;
}

}  // namespace mantissa
