#include <mantissa/torch/quantized_tensor.h>

#include <sstream>
#include <utility>

#include <ATen/ops/linear.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/custom_function.h>

#include "torch/tensor/host_tensors.h"
#include "torch/tensor/linear_node.h"
#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/torch_errors.h"

namespace mantissa {
namespace {

// Never the inner tensor itself: it would get a grad_fn.
struct Unwrap : torch::autograd::Function<Unwrap> {
  static at::Tensor forward(torch::autograd::AutogradContext*,
                            const at::Tensor& w) {
    at::Tensor values = quantized_impl(w)->state().inner.detach();
    if (!w.is_inference()) {
      values.unsafeGetTensorImpl()->set_version_counter(
          w.unsafeGetTensorImpl()->version_counter());
    }
    return values;
  }
  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext*, torch::autograd::variable_list grads) {
    return {grads[0]};
  }
};

const WeightState& inference_state(const at::Tensor& tensor, const char* who) {
  const QuantizedTensorImpl* impl = quantized_impl(tensor);
  TORCH_CHECK_TYPE(impl != nullptr && !impl->training(),
                   who,
                   ": expected a quantized inference weight, got ",
                   impl == nullptr ? "a plain tensor" : "a training weight");
  return impl->state();
}

void check_field(const FieldLayout& layout,
                 const at::Tensor& field,
                 c10::Device device,
                 std::string_view format) {
  TORCH_CHECK_VALUE(
      field.defined() && field.sizes() == c10::IntArrayRef(layout.shape) &&
          field.scalar_type() == scalar_type_of(layout.dtype) &&
          field.device() == device && field.is_contiguous(),
      "make_quantized_tensor: ",
      std::string(format),
      ": ",
      layout.name,
      ": expected contiguous ",
      std::string(name(layout.dtype)),
      " ",
      c10::IntArrayRef(layout.shape),
      " on ",
      device,
      ", got ",
      field.defined()
          ? c10::str(
                field.scalar_type(), " ", field.sizes(), " on ", field.device())
          : std::string("nothing"));
}

}  // namespace

bool is_quantized_tensor(const at::Tensor& tensor) {
  return is_wrapped(tensor);
}

bool is_training_tensor(const at::Tensor& tensor) {
  const QuantizedTensorImpl* impl = quantized_impl(tensor);
  return impl != nullptr && impl->training();
}

at::Tensor make_quantized_tensor(std::shared_ptr<const Encoding> encoding,
                                 std::vector<at::Tensor> fields) {
  TORCH_CHECK_VALUE(encoding != nullptr, "make_quantized_tensor: no encoding");
  const std::vector<FieldLayout> layouts = encoding->fields();
  TORCH_CHECK_VALUE(layouts.size() == fields.size(),
                    "make_quantized_tensor: ",
                    std::string(encoding->format_name()),
                    ": expected ",
                    layouts.size(),
                    " fields, got ",
                    fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    check_field(layouts[i],
                fields[i],
                fields.front().device(),
                encoding->format_name());
  }
  WeightState state;
  const c10::ScalarType dtype = scalar_type_of(encoding->dtype());
  state.encoding = std::move(encoding);
  state.fields = std::move(fields);
  return wrap_weight(std::move(state), dtype);
}

at::Tensor to_quantized_tensor(
    const at::Tensor& weight, const std::shared_ptr<const Encoding>& encoding) {
  TORCH_CHECK_VALUE(encoding != nullptr, "to_quantized_tensor: no encoding");
  TORCH_CHECK_VALUE(!is_wrapped(weight),
                    "to_quantized_tensor: weight: it is quantized already: ",
                    describe(weight));
  const at::Tensor host = weight.detach().cpu().contiguous();
  std::vector<at::Tensor> fields;
  EncodedTensor encoded =
      with_torch_errors([&] { return encode(encoding, host_view(host)); });
  for (HostTensor& field : encoded.fields) {
    fields.push_back(from_host(std::move(field)).to(weight.device()));
  }
  return make_quantized_tensor(encoding, std::move(fields));
}

const std::shared_ptr<const Encoding>& encoding_of(const at::Tensor& tensor) {
  return inference_state(tensor, "encoding_of").encoding;
}

std::vector<at::Tensor> fields_of(const at::Tensor& tensor) {
  return inference_state(tensor, "fields_of").unpacked().fields;
}

at::Tensor dequantize(const at::Tensor& tensor) {
  const QuantizedTensorImpl* impl = quantized_impl(tensor);
  if (impl == nullptr) return tensor;
  return impl->training() ? Unwrap::apply(tensor) : impl->dense();
}

std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "nothing";
  std::ostringstream out;
  const QuantizedTensorImpl* impl = quantized_impl(tensor);
  if (impl != nullptr && impl->training()) {
    out << impl->state().op->name() << ' ';
  } else if (impl != nullptr) {
    out << impl->state().encoding->format_name() << ' ';
  }
  out << tensor.sizes() << ' ' << name(dtype_of(tensor.scalar_type()));
  if (tensor.device().is_cuda()) out << " on " << tensor.device();
  if (impl == nullptr || impl->training()) return out.str();
  const WeightState& state = impl->state();
  if (state.transposed) out << " (transposed)";
  const auto bits = 8.0 * static_cast<double>(stored_bytes(*state.encoding)) /
                    static_cast<double>(std::max<std::int64_t>(
                        1, numel(state.encoding->shape())));
  out.precision(2);
  out << std::fixed << ", " << bits << " bits a weight";
  if (state.packed != nullptr) out << ", packed for low-bit kernels";
  const char* separator = ": ";
  for (const FieldLayout& field : state.encoding->fields()) {
    out << separator << field.name << ' ' << name(field.dtype) << ' '
        << to_string(field.shape);
    separator = ", ";
  }
  return out.str();
}

at::Tensor linear(const at::Tensor& x,
                  const at::Tensor& w,
                  const at::Tensor& bias) {
  if (!is_wrapped(w)) return at::linear(x, w, bias);
  TORCH_CHECK_VALUE(w.dim() == 2,
                    "linear: w: expected a quantized weight [N, K], got ",
                    w.sizes());
  return wrapped_linear(x, w, bias, true);
}

}  // namespace mantissa
