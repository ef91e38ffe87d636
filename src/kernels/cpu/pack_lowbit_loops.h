#pragma once

// Packing codes into the runtime layout and back, in vectors V of some columns
// of a tile. Only C headers and <immintrin.h> here: instruction-set files
// include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/pack_lowbit_args.h"

namespace mantissa::kernels {
namespace {

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;
constexpr int kTile = static_cast<int>(kLowbitTile);
constexpr int kChunk = static_cast<int>(kLowbitChunk);
// Chunks whose byte sums 32 bits hold.
constexpr int64_t kExactChunks = 1 << 16;

// Calls f<0>() ... f<kCount - 1>().
template <int kCount, int kFirst = 0, class F>
[[gnu::always_inline]] inline void each_of(const F& f) {
  if constexpr (kFirst < kCount) {
    f.template operator()<kFirst>();
    each_of<kCount, kFirst + 1>(f);
  }
}

constexpr int mask_of(int width, int low) { return ((1 << width) - 1) << low; }

// Bits [kLow, kLow + kWidth) of the units as one plane. Shifts of 16 bits move
// only these bits right.
template <class V, int kWidth, int kLow>
[[gnu::always_inline]] inline void put_plane(const typename V::T (&units)[8],
                                             uint8_t* out) {
  using T = typename V::T;
  constexpr int kEach = 8 / kWidth;
  each_of<kUnits / kEach>([&]<int kRow>() __attribute__((always_inline)) {
    T bytes = V::bit_and(V::template shift<-kLow>(units[kRow * kEach]),
                         V::broadcast(mask_of(kWidth, 0)));
    each_of<kEach - 1>([&]<int kI>() __attribute__((always_inline)) {
      constexpr int kAt = kWidth * (kI + 1);
      bytes =
          V::and_or(V::template shift<kAt - kLow>(units[kRow * kEach + kI + 1]),
                    V::broadcast(mask_of(kWidth, kAt)),
                    bytes);
    });
    V::store(out + kRow * kUnitBytes, bytes);
  });
}

// The way back, beside what the units have.
template <class V, int kWidth, int kLow>
[[gnu::always_inline]] inline void take_plane(const uint8_t* in,
                                              typename V::T (&units)[8]) {
  constexpr int kEach = 8 / kWidth;
  each_of<kUnits>([&]<int kUnit>() __attribute__((always_inline)) {
    const typename V::T row = V::load(in + kUnit / kEach * kUnitBytes);
    units[kUnit] =
        V::and_or(V::template shift<kLow - kUnit % kEach * kWidth>(row),
                  V::broadcast(mask_of(kWidth, kLow)),
                  units[kUnit]);
  });
}

template <class V, int kBits>
[[gnu::always_inline]] inline void put_planes(const typename V::T (&units)[8],
                                              uint8_t* out) {
  if constexpr (kBits == 8) {
    each_of<kUnits>([&]<int kUnit>() __attribute__((always_inline)) {
      V::store(out + kUnit * kUnitBytes, units[kUnit]);
    });
    return;
  }
  if constexpr ((kBits & 4) != 0) {
    put_plane<V, 4, 0>(units, out);
    out += 4 * kUnitBytes;
  }
  if constexpr ((kBits & 2) != 0) {
    put_plane<V, 2, kBits & 4>(units, out);
    out += 2 * kUnitBytes;
  }
  if constexpr ((kBits & 1) != 0) put_plane<V, 1, kBits & 6>(units, out);
}

template <class V, int kBits>
[[gnu::always_inline]] inline void take_planes(const uint8_t* in,
                                               typename V::T (&units)[8]) {
  each_of<kUnits>([&]<int kUnit>() __attribute__((always_inline)) {
    units[kUnit] = kBits == 8 ? V::load(in + kUnit * kUnitBytes) : V::zero();
  });
  if constexpr ((kBits & 4) != 0) {
    take_plane<V, 4, 0>(in, units);
    in += 4 * kUnitBytes;
  }
  if constexpr ((kBits & 2) != 0) {
    take_plane<V, 2, kBits & 4>(in, units);
    in += 2 * kUnitBytes;
  }
  if constexpr ((kBits & 1) != 0) take_plane<V, 1, kBits & 6>(in, units);
}

// Byte sums of the 16 columns of a tile.
template <class V>
struct ColumnSums {
  typename V::T parts[kTile / V::kColumns];

  void clear() {
    for (auto& part : parts) part = V::zero();
  }
  void add_to(int64_t* sums) const {
    int32_t lanes[kTile];
    for (int i = 0; i < kTile / V::kColumns; ++i) {
      V::store(reinterpret_cast<uint8_t*>(lanes + i * V::kColumns), parts[i]);
    }
    for (int i = 0; i < kTile; ++i) sums[i] += lanes[i];
  }
};

// 16 rows of 32 codes, `stride` apart.
template <class V, int kBits, bool kSums>
[[gnu::always_inline]] inline void pack_chunk(const int8_t* codes,
                                              int64_t stride,
                                              uint8_t* out,
                                              ColumnSums<V>& sums) {
  const auto offset = V::broadcast(1 << (kBits - 1));
  for (int part = 0; part < kTile / V::kColumns; ++part) {
    typename V::T units[kUnits];
    V::load_rows(codes + part * V::kColumns * stride, stride, units);
    V::transpose(units);
    for (auto& unit : units) unit = V::add8(unit, offset);
    put_planes<V, kBits>(units, out + part * V::kColumns * 4);
    if (kSums) {
      sums.parts[part] = V::add32(sums.parts[part], V::sums_of(units));
    }
  }
}

template <class V, int kBits>
[[gnu::always_inline]] inline void unpack_chunk(const uint8_t* in,
                                                int8_t* codes,
                                                int64_t stride) {
  const auto offset = V::broadcast(1 << (kBits - 1));
  for (int part = 0; part < kTile / V::kColumns; ++part) {
    typename V::T units[kUnits];
    take_planes<V, kBits>(in + part * V::kColumns * 4, units);
    for (auto& unit : units) unit = V::sub8(unit, offset);
    V::transpose(units);
    V::store_rows(units, codes + part * V::kColumns * stride, stride);
  }
}

// Where a chunk stands in a matrix [n, k].
struct ChunkPlace {
  int64_t first;    // row
  int64_t columns;  // rows that are there, up to 16
  int64_t k0;
  int64_t values;  // of K that are there, up to 32

  bool whole() const { return columns == kTile && values == kChunk; }
};

inline ChunkPlace chunk_place(int64_t n, int64_t k, int64_t tile, int64_t c) {
  const int64_t columns = n - tile * kTile;
  const int64_t values = k - c * kChunk;
  return {tile * kTile,
          columns < kTile ? columns : kTile,
          c * kChunk,
          values < kChunk ? values : kChunk};
}

// A chunk at the edge of the matrix: what is added to the codes makes 0 of
// missing rows.
inline void copy_edge(const PackLowbitArgs& args,
                      const ChunkPlace& at,
                      int8_t* out) {
  memset(out, -(1 << (args.bits - 1)), kTile * kChunk);
  for (int64_t c = 0; c < at.columns; ++c) {
    int8_t* row = out + c * kChunk;
    if (at.values < kChunk) memset(row, args.padding[at.first + c], kChunk);
    memcpy(row,
           args.codes + (at.first + c) * args.k + at.k0,
           static_cast<size_t>(at.values));
  }
}

template <class V, int kBits, bool kSums>
[[gnu::always_inline]] inline void pack_place(const PackLowbitArgs& args,
                                              const ChunkPlace& at,
                                              uint8_t* out,
                                              ColumnSums<V>& sums) {
  if (at.whole()) {
    const int8_t* codes = args.codes + at.first * args.k + at.k0;
    pack_chunk<V, kBits, kSums>(codes, args.k, out, sums);
    return;
  }
  int8_t edge[kTile * kChunk];
  copy_edge(args, at, edge);
  pack_chunk<V, kBits, kSums>(edge, kChunk, out, sums);
}

inline int64_t chunks_of(int64_t k) { return (k + kChunk - 1) / kChunk; }

template <class V, int kBits, bool kSums>
void pack_tiles(const PackLowbitArgs& args, int64_t begin, int64_t end) {
  const int64_t chunks = chunks_of(args.k);
  const int64_t group = kSums ? args.sum_chunks : chunks;
  int64_t* sums = args.sums;
  for (int64_t tile = begin; tile < end; ++tile) {
    uint8_t* out = args.packed + tile * chunks * kBits * kUnitBytes;
    for (int64_t c = 0; c < chunks;) {
      if (kSums && c % group == 0) {
        sums = args.sums + ((tile - begin) * chunks + c) / group * kTile;
        memset(sums, 0, kTile * sizeof(*sums));
      }
      const int64_t left = group - c % group;
      const int64_t last = c + (left < kExactChunks ? left : kExactChunks);
      ColumnSums<V> some;
      some.clear();
      for (; c < last; ++c) {
        pack_place<V, kBits, kSums>(
            args, chunk_place(args.n, args.k, tile, c), out, some);
        out += kBits * kUnitBytes;
      }
      if (kSums) some.add_to(sums);
    }
  }
}

template <class V, int kBits>
void unpack_tiles(const UnpackLowbitArgs& args, int64_t begin, int64_t end) {
  const int64_t chunks = chunks_of(args.k);
  for (int64_t tile = begin; tile < end; ++tile) {
    const uint8_t* in = args.packed + tile * chunks * kBits * kUnitBytes;
    for (int64_t c = 0; c < chunks; ++c, in += kBits * kUnitBytes) {
      const ChunkPlace at = chunk_place(args.n, args.k, tile, c);
      int8_t* codes = args.codes + at.first * args.k + at.k0;
      if (at.whole()) {
        unpack_chunk<V, kBits>(in, codes, args.k);
        continue;
      }
      int8_t edge[kTile * kChunk];
      unpack_chunk<V, kBits>(in, edge, kChunk);
      for (int64_t row = 0; row < at.columns; ++row) {
        memcpy(codes + row * args.k,
               edge + row * kChunk,
               static_cast<size_t>(at.values));
      }
    }
  }
}

// Calls f<kBits>().
template <class F>
[[gnu::always_inline]] inline void with_bits(int bits, const F& f) {
  switch (bits) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 3:
      return f.template operator()<3>();
    case 4:
      return f.template operator()<4>();
    case 5:
      return f.template operator()<5>();
    case 6:
      return f.template operator()<6>();
    case 7:
      return f.template operator()<7>();
    default:
      return f.template operator()<8>();
  }
}

template <class V>
void pack_lowbit_loop(const PackLowbitArgs& args, int64_t begin, int64_t end) {
  with_bits(args.bits, [&]<int kBits>() {
    if (args.sums == nullptr) {
      pack_tiles<V, kBits, false>(args, begin, end);
    } else {
      pack_tiles<V, kBits, true>(args, begin, end);
    }
  });
}

template <class V>
void unpack_lowbit_loop(const UnpackLowbitArgs& args,
                        int64_t begin,
                        int64_t end) {
  with_bits(args.bits,
            [&]<int kBits>() { unpack_tiles<V, kBits>(args, begin, end); });
}

}  // namespace
}  // namespace mantissa::kernels
