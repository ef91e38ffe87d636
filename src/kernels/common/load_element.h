#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/element_dtype.h"

namespace mantissa::kernels {

/// Value `i` of an array of `type` at any alignment, as float: exact.
inline float load_element(Element type, const void* x, std::int64_t i) {
  const auto* at = static_cast<const std::byte*>(x) + i * element_bytes(type);
  if (type == Element::F32) {
    float value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof(bits));
  return type == Element::Bf16 ? bfloat16_to_float(bits)
                               : float16_to_float(bits);
}

}  // namespace mantissa::kernels
