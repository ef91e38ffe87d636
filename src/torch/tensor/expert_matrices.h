#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace mantissa {

/// Static activations of the matrices of experts, `each` an expert, one after
/// the other. Those that all experts' matrices share are one value.
struct MatrixActivations {
  at::Tensor scale = {};       ///< one value or [E * each]; undefined: dynamic
  at::Tensor zero_point = {};  ///< the same; may be undefined
  std::int64_t each = 1;

  /// Of [matrices, 1] or [1], or undefined, of so many experts: `each` is 1
  /// where an expert's matrices have the same.
  static MatrixActivations of(const at::Tensor& scale,
                              const at::Tensor& zero_point,
                              std::int64_t experts);
};

/// Rows of experts whose matrices, side by side along N, may differ in their
/// activations: each then takes the rows of its expert once more, as if it were
/// an expert.
class ExpertMatrices {
 public:
  /// Of experts of `each` matrices, whose rows end at `ends`.
  ExpertMatrices(const std::vector<std::int64_t>& ends, std::int64_t each);

  /// Where the rows of each matrix end.
  const std::vector<std::int64_t>& ends() const { return ends_; }
  /// x [T, K] as [each * T, K]: the rows of each matrix.
  at::Tensor rows(const at::Tensor& x) const;
  /// A value for each matrix as one for each of its rows, [each * T, 1]; one
  /// value and undefined stay so.
  at::Tensor values(const at::Tensor& of_matrices) const;
  /// Products [each * T, N / each] as those of the experts, [T, N].
  at::Tensor joined(const at::Tensor& y) const;

 private:
  std::int64_t each_;
  std::vector<std::int64_t> ends_;
};

}  // namespace mantissa
