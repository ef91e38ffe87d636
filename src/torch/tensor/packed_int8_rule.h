#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "torch/ops/packed_int8.h"
#include "torch/tensor/product_rule.h"

namespace mantissa {

/// Activations and the dtype of results as linear_int8() takes them for x of
/// `dtype`: the formula of compressed-tensors takes a given scale rounded to
/// that and applies scales in float32, from which its results are rounded.
struct Int8Call {
  Int8Call(Int8Activation how, c10::ScalarType dtype);

  Int8Activation activation;
  c10::ScalarType out_dtype;
};

/// Int8 codes times int8 codes that are packed.
class PackedInt8Rule final : public ProductRule {
 public:
  /// Static activations: one value, or one for each matrix of experts.
  PackedInt8Rule(Int8Weight weight, Int8Activation activation);

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl& w,
                    const at::Tensor& bias) const override;
  at::Tensor grouped_linear(
      const at::Tensor& x,
      const std::vector<std::int64_t>& ends) const override;
  bool multiplies_codes() const override { return true; }

  const Int8Weight& weight() const { return weight_; }
  Int8Input input(const at::Tensor& x) const;
  /// The same in the memory of an input before it.
  void take_input(const at::Tensor& x, Int8Input& out) const;
  /// linear() of x of which `input` is input(x), for any rule with the same
  /// activations.
  at::Tensor linear(const Int8Input& input,
                    c10::ScalarType dtype,
                    const at::Tensor& bias) const;
  /// Whether input() of the other gives the same for every x; static ones are
  /// not compared.
  bool same_input(const PackedInt8Rule& other) const;

 private:
  Int8Weight weight_;
  Int8Activation activation_;
  std::int64_t each_ = 1;  // matrices of an expert whose activations differ
};

}  // namespace mantissa
