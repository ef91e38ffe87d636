#pragma once

#include <optional>
#include <utility>

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
  PackedInt8Rule(const Encoding& encoding,
                 Int8Weight weight,
                 Int8Activation activation)
      : ProductRule(encoding),
        weight_(std::move(weight)),
        activation_(std::move(activation)) {}

  at::Tensor linear(const at::Tensor& x,
                    const QuantizedTensorImpl& w,
                    const at::Tensor& bias) const override;
  bool multiplies_codes() const override { return true; }

  const Int8Weight& weight() const { return weight_; }
  Int8Input input(const at::Tensor& x) const;
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
};

}  // namespace mantissa
