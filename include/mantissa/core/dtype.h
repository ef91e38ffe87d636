#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace mantissa {

/// Element types. The first block is what a safetensors file can hold, in the
/// canonical order of its writer (the enumerator is the sort key); the second
/// block are logical types that live in a wider container.
enum class DType : std::uint8_t {
  UInt64,
  Int64,
  Float64,
  Complex64,
  Float32,
  UInt32,
  Int32,
  BFloat16,
  Float16,
  UInt16,
  Int16,
  Float8E5M2FNUZ,
  Float8E4M3FNUZ,
  Float8E8M0FNU,
  Float8E4M3FN,
  Float8E5M2,
  Int8,
  UInt8,
  Float6E3M2,
  Float6E2M3,
  Float4E2M1,
  Bool,
  Int1,
  Int2,
  Int3,
  Int4,
  Int5,
  Int6,
  Int7,
  UInt1,
  UInt2,
  UInt3,
  UInt4,
  UInt5,
  UInt6,
  UInt7,
};

/// Bits of one element, 1 to 64.
int bit_width(DType dtype);

/// torch's spelling without the prefix: "bfloat16", "float8_e4m3fn", "int4".
std::string_view name(DType dtype);

/// The dtype of torch's spelling, with or without "torch."; empty if unknown.
std::optional<DType> dtype_from_name(std::string_view name);

/// The spelling in a safetensors header ("BF16"); empty for logical types.
std::string_view safetensors_name(DType dtype);

/// The dtype of a safetensors spelling; empty if unknown.
std::optional<DType> dtype_from_safetensors(std::string_view name);

/// True for every floating type, complex excluded.
bool is_floating_point(DType dtype);

/// True for float64, float32, bfloat16 and float16: what a weight may be.
bool is_high_precision(DType dtype);

/// Inclusive bounds of an integer type of 1 to 32 bits.
struct IntegerRange {
  std::int64_t min;
  std::int64_t max;
};

/// Bounds of an integer dtype: intB = [-2^(B-1), 2^(B-1)-1], uintB =
/// [0, 2^B-1]. Throws Error(Usage) for floating and 64-bit types.
IntegerRange integer_range(DType dtype);

/// Extents, outermost first.
using Shape = std::vector<std::int64_t>;

}  // namespace mantissa
