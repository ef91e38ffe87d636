#include "kernels/pack_lowbit_args.h"

#include <algorithm>
#include <cstdint>

#include "kernels/common/lowbit_planes.h"

namespace mantissa::kernels {
namespace {

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;

// The units of one chunk: the byte of column c and value 4u + j at
// [u][4c + j].
struct Units {
  std::uint8_t at[kUnits][kUnitBytes] = {};
};

// What both directions need of a chunk.
struct Place {
  std::int64_t first;    // row
  std::int64_t columns;  // rows that are there
  std::int64_t k0;
  std::int64_t values;  // of K that are there
};

Place place_of(std::int64_t n,
               std::int64_t k,
               std::int64_t tile,
               std::int64_t chunk) {
  const std::int64_t first = tile * kLowbitTile;
  const std::int64_t k0 = chunk * kLowbitChunk;
  return {first,
          std::min(kLowbitTile, n - first),
          k0,
          std::min(kLowbitChunk, k - k0)};
}

std::int64_t chunks_of(std::int64_t k) {
  return (k + kLowbitChunk - 1) / kLowbitChunk;
}

Units gather(const PackLowbitArgs& args, const Place& at) {
  Units out;
  const int offset = 1 << (args.bits - 1);
  for (std::int64_t c = 0; c < at.columns; ++c) {
    const std::int8_t* row = args.codes + (at.first + c) * args.k + at.k0;
    for (std::int64_t i = 0; i < kLowbitChunk; ++i) {
      const std::int8_t code =
          i < at.values ? row[i] : args.padding[at.first + c];
      out.at[i / 4][4 * c + i % 4] = static_cast<std::uint8_t>(code + offset);
    }
  }
  return out;
}

void scatter(const UnpackLowbitArgs& args,
             const Place& at,
             const Units& units) {
  const int offset = 1 << (args.bits - 1);
  for (std::int64_t c = 0; c < at.columns; ++c) {
    std::int8_t* row = args.codes + (at.first + c) * args.k + at.k0;
    for (std::int64_t i = 0; i < at.values; ++i) {
      row[i] =
          static_cast<std::int8_t>(units.at[i / 4][4 * c + i % 4] - offset);
    }
  }
}

// One plane of `width` bits: bits [low, low + width) of the codes.
std::uint8_t* put_plane(const Units& units,
                        int low,
                        int width,
                        std::uint8_t* out) {
  const int each = 8 / width;  // units a byte
  const int mask = (1 << width) - 1;
  for (int r = 0; r < kUnits / each; ++r) {
    for (int b = 0; b < kUnitBytes; ++b) {
      int byte = 0;
      for (int i = 0; i < each; ++i) {
        byte |= ((units.at[r * each + i][b] >> low) & mask) << (width * i);
      }
      *out++ = static_cast<std::uint8_t>(byte);
    }
  }
  return out;
}

const std::uint8_t* take_plane(const std::uint8_t* in,
                               int low,
                               int width,
                               Units& units) {
  const int each = 8 / width;
  const int mask = (1 << width) - 1;
  for (int r = 0; r < kUnits / each; ++r) {
    for (int b = 0; b < kUnitBytes; ++b) {
      const int byte = *in++;
      for (int i = 0; i < each; ++i) {
        units.at[r * each + i][b] |=
            static_cast<std::uint8_t>(((byte >> (width * i)) & mask) << low);
      }
    }
  }
  return in;
}

// Adds the bytes of each column to the 16 sums.
void add_up(const Units& units, std::int64_t* sums) {
  for (int u = 0; u < kUnits; ++u) {
    for (int b = 0; b < kUnitBytes; ++b) sums[b / 4] += units.at[u][b];
  }
}

}  // namespace

void run_pack_lowbit_ref(const PackLowbitArgs& args,
                         std::int64_t begin,
                         std::int64_t end) {
  const std::int64_t chunks = chunks_of(args.k);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    std::uint8_t* to = args.packed + tile * chunks * args.bits * kUnitBytes;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      const Units units = gather(args, place_of(args.n, args.k, tile, chunk));
      for_each_lowbit_plane(args.bits, [&](int low, int width) {
        to = put_plane(units, low, width, to);
      });
      if (args.sums == nullptr) continue;
      std::int64_t* sums = args.sums + ((tile - begin) * chunks + chunk) /
                                           args.sum_chunks * kLowbitTile;
      if (chunk % args.sum_chunks == 0) std::fill_n(sums, kLowbitTile, 0);
      add_up(units, sums);
    }
  }
}

void run_unpack_lowbit_ref(const UnpackLowbitArgs& args,
                           std::int64_t begin,
                           std::int64_t end) {
  const std::int64_t chunks = chunks_of(args.k);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const std::uint8_t* from =
        args.packed + tile * chunks * args.bits * kUnitBytes;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      Units units;
      for_each_lowbit_plane(args.bits, [&](int low, int width) {
        from = take_plane(from, low, width, units);
      });
      scatter(args, place_of(args.n, args.k, tile, chunk), units);
    }
  }
}

}  // namespace mantissa::kernels
