#pragma once

namespace mantissa::kernels {

// 2^r for r in [-0.5, 0.5] as 1 + r * (k1 + r * (k2 + ...)): of least largest
// relative error with the first coefficient 1, which is 7.3 * 2^-24. With the
// rounding of five FMAs 2^x is within kExp2Error of its value.
inline constexpr float kExp2Polynomial[5] = {0x1.62e39ep-1f,
                                             0x1.ebfa4ep-3f,
                                             0x1.c74322p-5f,
                                             0x1.3cbea8p-7f,
                                             0x1.23a604p-10f};
inline constexpr float kExp2Error = 10 * 0x1p-24f;

/// Below it 2^x counts as 0: what is above it has no denormal parts.
inline constexpr float kExp2Least = -125.0f;

inline constexpr float kLog2E = 0x1.715476p+0f;  // 1 / ln 2

}  // namespace mantissa::kernels
