#pragma once

#include <stdint.h>

// The instruction-set kernels of op "convert" and "find_nonfinite". Each takes
// a multiple of the stated number of elements; the caller does the rest with
// the reference.
namespace mantissa::kernels {

// Multiples of 8 elements.
void bf16_to_f32_avx2(const uint16_t* from, float* to, int64_t count);
void f16_to_f32_avx2(const uint16_t* from, float* to, int64_t count);
void f32_to_bf16_avx2(const float* from, uint16_t* to, int64_t count);
void f32_to_f16_avx2(const float* from, uint16_t* to, int64_t count);

// Multiples of 16 elements.
void bf16_to_f32_avx512(const uint16_t* from, float* to, int64_t count);
void f16_to_f32_avx512(const uint16_t* from, float* to, int64_t count);
void f32_to_bf16_avx512(const float* from, uint16_t* to, int64_t count);
void f32_to_f16_avx512(const float* from, uint16_t* to, int64_t count);

// How many leading elements are surely finite: a multiple of 64 bytes; an
// element with all bits of `exponent` set is not finite.
int64_t finite_prefix_16_avx2(const void* data,
                              int64_t count,
                              uint16_t exponent);
int64_t finite_prefix_32_avx2(const void* data,
                              int64_t count,
                              uint32_t exponent);

}  // namespace mantissa::kernels
