#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// ggml's tensor types that this version reads; the values are those in files.
enum class GgmlType : std::uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
};

/// One readable type: rows of `block_size` values in `block_bytes` bytes.
struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;    ///< "Q4_1"
  std::int64_t block_size;  ///< values in a block; 1 for plain types
  std::int64_t block_bytes;
  /// Decodes `blocks` blocks to float32 with ggml's arithmetic: no fused
  /// multiply-add, every product and sum rounded to float32.
  void (*decode)(const std::byte* in, std::int64_t blocks, float* out);
};

/// The readable types in order of their number.
std::span<const GgmlTypeInfo> ggml_types();

/// The row of a type number; null when this version does not read it.
const GgmlTypeInfo* find_ggml_type(std::uint32_t type);

/// ggml's name of any type number it defines ("IQ4_XS"), or "".
std::string_view ggml_type_name(std::uint32_t type);

/// "F32, F16, ...": what find_ggml_type() knows.
std::string readable_ggml_types();

/// True for blocks that share a scale.
bool is_quantized(const GgmlTypeInfo& type);

/// The dtype of a plain type (F32, F16, BF16). Quantized types have none:
/// float32 is what they decode to.
DType plain_dtype(const GgmlTypeInfo& type);

/// `blocks` blocks as values of `dtype` (float32, bfloat16 or float16): decoded
/// to float32 and rounded once, half to even. A plain type in its own dtype is
/// copied bit for bit. `in` and `out` need no alignment.
void convert_blocks(const GgmlTypeInfo& type,
                    const std::byte* in,
                    std::int64_t blocks,
                    DType dtype,
                    std::byte* out);

}  // namespace mantissa
