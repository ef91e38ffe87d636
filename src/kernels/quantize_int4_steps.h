#pragma once

#include <cstdint>

namespace mantissa::kernels {

/// The loops that make codes of a run of groups, one set per instruction set
/// and dtype of x. What comes before them (parameters from minimum and maximum)
/// is scalar and shared.
struct QuantizeInt4Steps {
  /// codes = clamp(round((x - offset) / scale), low, low + 15) - low.
  void (*codes)(const void* x,
                std::int64_t groups,
                std::int64_t group_size,
                const float* offset,
                const float* scale,
                float low,
                std::uint8_t* codes);
  /// The same with difference and quotient rounded to the dtype of x; null
  /// where there is none.
  void (*rounded_codes)(const void* x,
                        std::int64_t groups,
                        std::int64_t group_size,
                        const float* offset,
                        const float* scale,
                        float low,
                        std::uint8_t* codes);
};

// Group sizes are multiples of 16 (AVX-512) or 8 (AVX2).
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx2Bf16;
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx2F16;
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx2F32;
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx512Bf16;
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx512F16;
extern const QuantizeInt4Steps kQuantizeInt4StepsAvx512F32;
extern const QuantizeInt4Steps kQuantizeInt4StepsRefBf16;
extern const QuantizeInt4Steps kQuantizeInt4StepsRefF16;
extern const QuantizeInt4Steps kQuantizeInt4StepsRefF32;

}  // namespace mantissa::kernels
