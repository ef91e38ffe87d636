#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <mantissa/core/dtype.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Throws Error(Usage) unless the dtype is float32, bfloat16 or float16.
void check_float_dtype(std::string_view op,
                       std::string_view argument,
                       DType dtype);

/// Throws Error(Usage) unless the tensor has `blocks` elements.
void check_block_count(std::string_view op,
                       std::string_view argument,
                       const ConstTensorView& tensor,
                       std::int64_t blocks);

/// Bounds of a quantized dtype, narrowed to the given ones. Throws Error(Usage)
/// for another dtype, and for bounds outside or out of order.
IntegerRange quant_range(std::string_view op,
                         DType dtype,
                         std::optional<std::int64_t> quant_min,
                         std::optional<std::int64_t> quant_max);

/// What holds codes of a quantized dtype: int8 for int1-8, uint8 for uint1-8.
DType code_dtype(DType dtype);

}  // namespace mantissa
