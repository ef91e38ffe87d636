#pragma once

#include <cstdint>
#include <optional>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Converts every element of `from` (any dtype but complex) to the dtype of
/// `to` (any floating dtype), rounding half to even, with torch's results: a
/// float64 that is not kept as float64 goes through float32; the float8 casts
/// do not saturate, those to float6 and float4 do. Equal dtypes are copied bit
/// for bit, else NaN becomes the quiet NaN of `to`. Packed formats hold element
/// i at bit i * width, counted from the low bit of byte 0. Throws Error(Usage)
/// when the shapes differ or a dtype has no conversion.
void convert(ConstTensorView from, TensorView to);

/// A copy of `from` in another floating dtype; see convert().
HostTensor converted(ConstTensorView from, DType dtype);

/// The flat index of the first element that is NaN or infinite; empty when all
/// are finite. Integers are finite. Throws Error(Usage) for complex.
std::optional<std::int64_t> find_nonfinite(ConstTensorView tensor);

}  // namespace mantissa
