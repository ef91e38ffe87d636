#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// Dtype of the values that an encoder reads.
enum class Element : uint8_t { F32, Bf16, F16 };

}  // namespace mantissa::kernels
