#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>

namespace mantissa {

/// Int8 codes of rows, with a scale and a zero point for each.
struct RowCodes {
  RowCodes() = default;
  RowCodes(std::int64_t rows, std::int64_t columns) { resize(rows, columns); }

  /// Other rows, whose values are not set, in the same memory where it is
  /// enough.
  void resize(std::int64_t rows, std::int64_t columns);

  std::unique_ptr<std::int8_t[]> codes;  ///< [rows, columns]
  std::size_t room = 0;                  ///< codes that there is room for
  std::vector<float> scale;
  std::vector<float> reciprocal;
  std::vector<std::int32_t> zero_point;
};

/// Whose formula makes codes.
enum class RowFormula {
  Torchao,  ///< clamp(rne(x * (1 / scale)) + zero point)
  /// rne(clamp(x / scale + zero point)), each step rounded to x's dtype; a
  /// scale of 0 becomes the dtype's epsilon.
  CompressedTensors,
};

/// How the parameters of RowCodes are found.
struct RowRule {
  MappingType mapping = MappingType::Symmetric;
  IntegerRange range = {-128, 127};
  float eps = 0;
  bool per_tensor = false;  ///< one scale for all rows
  /// With per_tensor: one for rows [ends[i - 1], ends[i]) each; empty: for all.
  std::span<const std::int64_t> ends = {};
  /// CompressedTensors takes neither `range` nor `eps`.
  RowFormula formula = RowFormula::Torchao;
};

/// torchao's int8_asym_per_token, for x of this dtype.
RowRule int8_asym_per_token(DType dtype);

/// Scales and zero points of x [rows, columns] (contiguous, on the CPU), all
/// arithmetic in its dtype. Rows with NaN or infinity get the scale NaN.
void choose_row_params(const at::Tensor& x, const RowRule& rule, RowCodes& out);

/// Codes by the parameters in `out`; `product` is the dtype to which
/// x * reciprocal is rounded. NaN gives 0.
void quantize_rows(const at::Tensor& x,
                   IntegerRange range,
                   DType product,
                   RowCodes& out);

/// Rows of x with NaN get the scale NaN.
void mark_nan_rows(const at::Tensor& x, RowCodes& out);

/// Codes in [-128, 127] by the parameters in `out` and the formula of
/// compressed-tensors. NaN, and what a scale of NaN makes, gives 0.
void divide_rows(const at::Tensor& x, RowCodes& out);

}  // namespace mantissa
