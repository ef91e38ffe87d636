#pragma once

#include <stdint.h>

// The instruction-set kernels of op "absmax_runs". They take any length.
namespace mantissa::kernels {

// out[r] = bits of the largest |x| of run r; 16-bit floats, float32.
void absmax_16_avx2(const uint16_t* x,
                    int64_t run,
                    int64_t runs,
                    uint16_t* out);
void absmax_32_avx2(const uint32_t* x,
                    int64_t run,
                    int64_t runs,
                    uint32_t* out);
void absmax_16_avx512(const uint16_t* x,
                      int64_t run,
                      int64_t runs,
                      uint16_t* out);
void absmax_32_avx512(const uint32_t* x,
                      int64_t run,
                      int64_t runs,
                      uint32_t* out);

}  // namespace mantissa::kernels
