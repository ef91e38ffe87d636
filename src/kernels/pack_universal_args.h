#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/pack_bits_args.h"

namespace mantissa::kernels {

/// Columns of a weight [N, K] that torchao's universal layout packs together.
/// A strip is, one after the other:
///
///   int8 lut[16]                       with a lookup table
///   for each group of columns of K:
///     for each 16 of the group         a block of 128 codes, where code
///                                      64 h + 8 c + t is row c, k = 8 h + t
///     float32 scale[8]
///     int32 sum[8]                     of the group's values
///     int32 zero_point[8]              with zero points
///   float32 bias[8]                    with bias
inline constexpr int kStripRows = 8;

struct PackUniversalProblem {
  int bits = 4;  ///< 1 to 8; 1 to 4 with a table
  bool lut = false;
};

/// Whole strips: 8 * strips rows of K codes. `group` divides `k` and is a
/// multiple of 16; any alignment.
struct PackUniversalArgs {
  const int8_t* codes = nullptr;  ///< [8 strips, k]; with a table 0 .. 2^b-1
  const float* scale = nullptr;   ///< [8 strips, k / group]
  const int8_t* zero_point = nullptr;  ///< as scale, or null
  const float* bias = nullptr;         ///< [8 strips], or null
  const int8_t* lut = nullptr;         ///< [16], of all strips, or null
  int64_t strips = 0;
  int64_t k = 0;
  int64_t group = 0;
  uint8_t* packed = nullptr;
  Stores stores = Stores::Cached;
};

/// The inverse of PackUniversalArgs; a table is read past.
struct UnpackUniversalArgs {
  const uint8_t* packed = nullptr;
  int64_t strips = 0;
  int64_t k = 0;
  int64_t group = 0;
  int8_t* codes = nullptr;
  float* scale = nullptr;
  int8_t* zero_point = nullptr;  ///< null: the strips have none
  float* bias = nullptr;         ///< null: the strips have none
  Stores stores = Stores::Cached;
};

// Packing is true when all codes are in range; otherwise what it wrote means
// nothing. Unpacking is true when every sum is that of its codes and every zero
// point fits in 8 bits.
bool run_pack_universal_ref(const PackUniversalProblem& problem,
                            const PackUniversalArgs& args);
bool run_pack_universal_avx2(const PackUniversalProblem& problem,
                             const PackUniversalArgs& args);
bool run_pack_universal_avx512(const PackUniversalProblem& problem,
                               const PackUniversalArgs& args);

bool run_unpack_universal_ref(const PackUniversalProblem& problem,
                              const UnpackUniversalArgs& args);
bool run_unpack_universal_avx2(const PackUniversalProblem& problem,
                               const UnpackUniversalArgs& args);
bool run_unpack_universal_avx512(const PackUniversalProblem& problem,
                                 const UnpackUniversalArgs& args);

}  // namespace mantissa::kernels
