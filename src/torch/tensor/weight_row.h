#pragma once

#include <memory>
#include <string_view>

#include <ATen/core/Tensor.h>

#include <mantissa/core/api.h>

namespace mantissa {

class QuantizedTensorImpl;

/// What a stored format does in products: one row for each in registry.cpp. The
/// weight is [N, K], x and g are plain and 2-D, autograd is off.
class FormatRow {
 public:
  virtual ~FormatRow() = default;
  /// torchao's class name, as Encoding::format_name().
  virtual std::string_view format_name() const = 0;
  /// x [M, K] * w^T + bias ([N], may be undefined): [M, N] in x's dtype. The
  /// default multiplies with the dequantized weight.
  virtual at::Tensor linear(const at::Tensor& x,
                            const QuantizedTensorImpl& w,
                            const at::Tensor& bias) const;
  /// g [M, N] * w: [M, K], the gradient of x. The default multiplies with the
  /// dequantized weight.
  virtual at::Tensor input_gradient(const at::Tensor& g,
                                    const QuantizedTensorImpl& w) const;
};

/// The row of a format; the default products for one without a row of its own.
const FormatRow& format_row(std::string_view format_name);

/// How a training weight takes part in products. `w` is the high-precision
/// weight [N, K], x and g are plain and 2-D, autograd is off.
class MANTISSA_API TrainingOp {
 public:
  virtual ~TrainingOp() = default;
  virtual std::string_view name() const = 0;
  virtual at::Tensor linear(const at::Tensor& x,
                            const at::Tensor& w,
                            const at::Tensor& bias) const = 0;
  virtual at::Tensor input_gradient(const at::Tensor& g,
                                    const at::Tensor& w) const = 0;
  virtual at::Tensor weight_gradient(const at::Tensor& x,
                                     const at::Tensor& g,
                                     const at::Tensor& w) const = 0;
};

}  // namespace mantissa
