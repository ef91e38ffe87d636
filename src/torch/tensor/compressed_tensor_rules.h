#pragma once

#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "formats/compressed_activations.h"
#include "formats/compressed_tensor.h"

namespace mantissa {

/// The activations of a scheme of compressed-tensors, and where their static
/// parameters stand in the fields of its weights.
class CompressedInput {
 public:
  /// Empty where the scheme has none. Throws c10::ValueError for what is not
  /// run, naming the member of config_groups.
  static std::optional<CompressedInput> of(const Encoding& encoding);

  const CompressedActivations& how() const { return how_; }
  /// input_scale and input_zero_point; undefined where there are none.
  at::Tensor scale(const std::vector<at::Tensor>& fields) const;
  at::Tensor zero_point(const std::vector<at::Tensor>& fields) const;

 private:
  CompressedActivations how_;
  std::optional<std::size_t> scale_;
  std::optional<std::size_t> zero_point_;
};

/// Whether products of this encoding multiply int8 codes with int8 codes: int8
/// activations per token or tensor, symmetric weights one to a byte with a
/// scale for each row or one for all.
bool multiplies_int8(const Encoding& encoding);

}  // namespace mantissa
