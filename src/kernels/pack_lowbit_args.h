#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// What packing and unpacking ask of a kernel.
struct PackLowbitProblem {
  int32_t bits = 4;  ///< 1 to 8
};

/// Codes [n, k] into the runtime layout (lowbit_layout.h): bytes code +
/// 2^(bits-1), modulo 256, of which `bits` bits are kept. Any alignment.
struct PackLowbitArgs {
  int32_t bits = 4;
  int64_t n = 0;
  int64_t k = 0;
  const int8_t* codes = nullptr;  ///< [n, k]
  /// [n]: the code behind k; not read where k is a multiple of kLowbitChunk.
  const int8_t* padding = nullptr;
  uint8_t* packed = nullptr;  ///< [tiles][chunks][bits * 64]
  /// Sums of the bytes of each group of each column, padding included: [the
  /// tiles of the call][groups][16], 0 behind n; null: none.
  int64_t* sums = nullptr;
  int64_t sum_chunks = 1;  ///< chunks of a group, a divisor of all chunks
};

/// The way back: byte - 2^(bits-1).
struct UnpackLowbitArgs {
  int32_t bits = 4;
  int64_t n = 0;
  int64_t k = 0;
  const uint8_t* packed = nullptr;  ///< as PackLowbitArgs
  int8_t* codes = nullptr;          ///< [n, k]
};

/// Tiles [begin, end) of 16 rows.
void run_pack_lowbit_ref(const PackLowbitArgs& args,
                         int64_t begin,
                         int64_t end);
void run_pack_lowbit_avx2(const PackLowbitArgs& args,
                          int64_t begin,
                          int64_t end);
void run_pack_lowbit_avx512(const PackLowbitArgs& args,
                            int64_t begin,
                            int64_t end);

void run_unpack_lowbit_ref(const UnpackLowbitArgs& args,
                           int64_t begin,
                           int64_t end);
void run_unpack_lowbit_avx2(const UnpackLowbitArgs& args,
                            int64_t begin,
                            int64_t end);
void run_unpack_lowbit_avx512(const UnpackLowbitArgs& args,
                              int64_t begin,
                              int64_t end);

}  // namespace mantissa::kernels
