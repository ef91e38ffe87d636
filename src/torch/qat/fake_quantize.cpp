#include <mantissa/torch/fake_quantize.h>

#include <utility>

#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <mantissa/torch/quantized_tensor.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

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

 private:
  // After module->to(dtype) the weight is rounded in the encoding's dtype.
  at::Tensor rounded(const at::Tensor& w) const {
    return dequantize(to_quantized_tensor(
        w.to(scalar_type_of(encoding_->dtype())), encoding_));
  }

  std::shared_ptr<const Encoding> encoding_;
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
