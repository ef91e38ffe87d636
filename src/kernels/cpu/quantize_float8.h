#pragma once

#include <stdint.h>

// The instruction-set kernels of op "quantize_float8". They take any length.
namespace mantissa::kernels {

/// A float8 format as the vector kernels need it.
struct Float8Bits {
  int mantissa_bits;
  int bias;
  float max;         ///< largest finite value
  uint8_t nan_code;  ///< 0x7f, to be signed, or 0x80 of the fnuz formats
};

// out = float8 of clamp(x / scale[r]) for each run r.
void quantize_float8_bf16_avx2(const uint16_t* x,
                               const float* scale,
                               int64_t run,
                               int64_t runs,
                               Float8Bits format,
                               uint8_t* out);
void quantize_float8_f16_avx2(const uint16_t* x,
                              const float* scale,
                              int64_t run,
                              int64_t runs,
                              Float8Bits format,
                              uint8_t* out);
void quantize_float8_f32_avx2(const float* x,
                              const float* scale,
                              int64_t run,
                              int64_t runs,
                              Float8Bits format,
                              uint8_t* out);
void quantize_float8_bf16_avx512(const uint16_t* x,
                                 const float* scale,
                                 int64_t run,
                                 int64_t runs,
                                 Float8Bits format,
                                 uint8_t* out);
void quantize_float8_f16_avx512(const uint16_t* x,
                                const float* scale,
                                int64_t run,
                                int64_t runs,
                                Float8Bits format,
                                uint8_t* out);
void quantize_float8_f32_avx512(const float* x,
                                const float* scale,
                                int64_t run,
                                int64_t runs,
                                Float8Bits format,
                                uint8_t* out);

}  // namespace mantissa::kernels
