#pragma once

#include <cstdint>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// Code u in [0, 2^bits) of value k (below the stored K) of column `lane` of a
/// tile.
inline int lowbit_code(const LowbitWeightView& w,
                       std::int64_t tile,
                       std::int64_t lane,
                       std::int64_t k) {
  const std::int64_t chunk_bytes = w.bits * 64;
  const std::uint8_t* at =
      w.codes + (tile * (w.k / kLowbitChunk) + k / kLowbitChunk) * chunk_bytes;
  const auto unit = static_cast<int>(k % kLowbitChunk / 4);
  const std::int64_t byte = 4 * lane + k % 4;
  if (w.bits == 8) return at[unit * 64 + byte];
  int code = 0;
  int low = 0;
  for (const int width : {4, 2, 1}) {
    if ((w.bits & width) == 0) continue;
    const int each = 8 / width;
    const int bits = at[unit / each * 64 + byte] >> (unit % each * width);
    code |= (bits & ((1 << width) - 1)) << low;
    low += width;
    at += width * 64;
  }
  return code;
}

}  // namespace mantissa::kernels
