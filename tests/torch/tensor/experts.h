#pragma once

#include <string>
#include <vector>

#include <torch/torch.h>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "formats/fused_tensor.h"

namespace mantissa::tests {

/// Matrices of one encoding as a file holds them, and the experts [E, N, K]
/// that they are side by side.
struct FusedExperts {
  /// `fields`: the fields of each matrix.
  FusedExperts(const Shape& shape,
               const std::shared_ptr<const Encoding>& matrix,
               const std::vector<std::vector<at::Tensor>>& fields) {
    std::vector<std::vector<at::Tensor>> parts(fields.front().size());
    for (const auto& of_one : fields) {
      matrices.push_back(make_quantized_tensor(matrix, of_one));
      for (std::size_t f = 0; f < of_one.size(); ++f) {
        parts[f].push_back(of_one[f]);
      }
    }
    std::vector<at::Tensor> stacked;
    for (const auto& each : parts) stacked.push_back(torch::stack(each));
    fused = make_quantized_tensor(make_fused_encoding(shape, matrix), stacked);
  }

  /// Those of expert e of `experts`.
  std::vector<at::Tensor> of_expert(std::size_t e, std::size_t experts) const {
    const std::size_t each = matrices.size() / experts;
    const auto first = matrices.begin() + static_cast<std::ptrdiff_t>(e * each);
    return {first, first + static_cast<std::ptrdiff_t>(each)};
  }

  std::vector<at::Tensor> matrices;
  at::Tensor fused;
};

/// Experts [experts, 2 * rows, k] of random matrices [rows, k] by `spec`;
/// static activations, which are its input_fields, get values that differ from
/// matrix to matrix, or from expert to expert alone.
inline FusedExperts random_experts(std::int64_t experts,
                                   std::int64_t rows,
                                   std::int64_t k,
                                   const CompressedSpec& spec,
                                   bool alike = true) {
  CompressedSpec weights = spec;
  weights.input_activations.clear();
  weights.input_fields.clear();
  const auto encoder =
      make_compressed_encoding({rows, k}, DType::Float32, weights);
  std::vector<std::vector<at::Tensor>> fields;
  for (std::int64_t i = 0; i < 2 * experts; ++i) {
    fields.push_back(
        fields_of(to_quantized_tensor(torch::randn({rows, k}) * 0.1, encoder)));
    const auto which = static_cast<float>(alike ? i / 2 : i);
    for (const FieldLayout& field : spec.input_fields) {
      fields.back().push_back(
          field.name == "input_scale"
              ? torch::full({1}, 0.02F + 0.003F * which)
              : torch::full({1}, 3 - static_cast<int>(which), at::kChar));
    }
  }
  return {{experts, 2 * rows, k},
          make_compressed_encoding({rows, k}, DType::Float32, spec),
          fields};
}

}  // namespace mantissa::tests
