#include "primitives/argument_checks.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {

void check_float_dtype(std::string_view op,
                       std::string_view argument,
                       DType dtype) {
  if (dtype == DType::Float32 || dtype == DType::BFloat16 ||
      dtype == DType::Float16) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: expected float32, bfloat16 or float16, "
                          "got {}",
                          op,
                          argument,
                          name(dtype)));
}

void check_block_count(std::string_view op,
                       std::string_view argument,
                       const ConstTensorView& tensor,
                       std::int64_t blocks) {
  if (tensor.numel() == blocks) return;
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: expected one value for each of {} blocks, "
                          "got {}",
                          op,
                          argument,
                          blocks,
                          to_string(tensor.shape)));
}

IntegerRange quant_range(std::string_view op,
                         DType dtype,
                         std::optional<std::int64_t> quant_min,
                         std::optional<std::int64_t> quant_max) {
  if (is_floating_point(dtype) || dtype == DType::Bool ||
      dtype == DType::Complex64 || bit_width(dtype) > 32 ||
      dtype == DType::UInt16 || dtype == DType::UInt32) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: dtype: expected int1-8, uint1-8, int16 or "
                            "int32, got {}",
                            op,
                            name(dtype)));
  }
  const IntegerRange bounds = integer_range(dtype);
  const IntegerRange range{quant_min.value_or(bounds.min),
                           quant_max.value_or(bounds.max)};
  if (range.min < bounds.min || range.max > bounds.max ||
      range.min >= range.max) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: expected {} <= quant_min < quant_max <= {} "
                            "for {}, got {} and {}",
                            op,
                            bounds.min,
                            bounds.max,
                            name(dtype),
                            range.min,
                            range.max));
  }
  return range;
}

DType code_dtype(DType dtype) {
  if (bit_width(dtype) > 8) return dtype;
  return integer_range(dtype).min < 0 ? DType::Int8 : DType::UInt8;
}

}  // namespace mantissa
