#pragma once

#include <memory>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace mantissa {

/// How a training weight takes part in products. `w` is the high-precision
/// weight [N, K] or a view of one, x and g are plain and 2-D, autograd is off.
class TrainingOp {
 public:
  virtual ~TrainingOp() = default;
  virtual std::string_view name() const = 0;
  /// x [M, K] * w^T + bias ([N], may be undefined): [M, N].
  virtual at::Tensor linear(const at::Tensor& x,
                            const at::Tensor& w,
                            const at::Tensor& bias) const = 0;
  /// Of g [M, N]: the gradient of x.
  virtual at::Tensor input_gradient(const at::Tensor& g,
                                    const at::Tensor& w) const = 0;
  /// Of x and g: the gradient of w.
  virtual at::Tensor weight_gradient(const at::Tensor& x,
                                     const at::Tensor& g,
                                     const at::Tensor& w) const = 0;
  /// The op of `copy`, which has the sizes and the values of `w` in memory of
  /// its own. Views share the op of the weight that they view. Null: the same
  /// op does for a copy too.
  virtual std::shared_ptr<const TrainingOp> copied(
      const at::Tensor& w, const at::Tensor& copy) const {
    (void)w, (void)copy;
    return nullptr;
  }
};

}  // namespace mantissa
