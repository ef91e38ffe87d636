#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include "torch/tensor/quantized_tensor_impl.h"
#include "torch/tensor/weight_row.h"

namespace mantissa {
namespace {

// Any format: the dequantized weight.
class PlainRow final : public FormatRow {
 public:
  std::string_view format_name() const override { return ""; }
};

}  // namespace

at::Tensor FormatRow::linear(const at::Tensor& x,
                             const QuantizedTensorImpl& w,
                             const at::Tensor& bias) const {
  return at::linear(x, w.stored_values().to(x.scalar_type()), bias);
}

at::Tensor FormatRow::input_gradient(const at::Tensor& g,
                                     const QuantizedTensorImpl& w) const {
  return at::mm(g, w.stored_values().to(g.scalar_type()));
}

const FormatRow& format_row(std::string_view format_name) {
  static const PlainRow plain;
  static const FormatRow* const rows[] = {&plain};
  for (const FormatRow* row : rows) {
    if (row->format_name() == format_name) return *row;
  }
  return plain;
}

}  // namespace mantissa
