#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/element_dtype.h"

namespace mantissa::kernels {

/// Puts `value` at index `i` of an array of `type` at any alignment, rounded
/// half to even.
inline void store_element(Element type,
                          void* out,
                          std::int64_t i,
                          float value) {
  auto* at = static_cast<std::byte*>(out) + i * element_bytes(type);
  if (type == Element::F32) {
    std::memcpy(at, &value, sizeof(value));
    return;
  }
  const std::uint16_t bits = type == Element::Bf16 ? float_to_bfloat16(value)
                                                   : float_to_float16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

}  // namespace mantissa::kernels
