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
template <class V, bool kStream, int kWidth, int kLow>
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
    V::template put<kStream>(out + kRow * kUnitBytes, bytes);
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

template <class V, bool kStream, int kBits>
[[gnu::always_inline]] inline void put_planes(const typename V::T (&units)[8],
                                              uint8_t* out) {
  if constexpr (kBits == 8) {
    each_of<kUnits>([&]<int kUnit>() __attribute__((always_inline)) {
      V::template put<kStream>(out + kUnit * kUnitBytes, units[kUnit]);
    });
    return;
  }
  if constexpr ((kBits & 4) != 0) {
    put_plane<V, kStream, 4, 0>(units, out);
    out += 4 * kUnitBytes;
  }
  if constexpr ((kBits & 2) != 0) {
    put_plane<V, kStream, 2, kBits & 4>(units, out);
    out += 2 * kUnitBytes;
  }
  if constexpr ((kBits & 1) != 0) {
    put_plane<V, kStream, 1, kBits & 6>(units, out);
  }
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

// Byte sums of the 16 columns of a tile over one chunk or more.
template <class V>
struct ColumnSums {
  typename V::T parts[kTile / V::kColumns];
};

// Where the sums of the groups of a call go, one behind the other.
template <class V>
class GroupSums {
 public:
  GroupSums(int64_t* out, int64_t group) : out_(out), group_(group) { clear(); }

  // Of the next chunk.
  [[gnu::always_inline]] inline void take(const ColumnSums<V>& chunk) {
    for (int i = 0; i < kTile / V::kColumns; ++i) {
      sums_.parts[i] = V::add32(sums_.parts[i], chunk.parts[i]);
    }
    ++taken_;
    if (taken_ == group_ || taken_ % kExactChunks == 0) flush();
  }

 private:
  void clear() {
    for (auto& part : sums_.parts) part = V::zero();
  }
  void flush() {
    int32_t lanes[kTile];
    for (int i = 0; i < kTile / V::kColumns; ++i) {
      V::store(reinterpret_cast<uint8_t*>(lanes + i * V::kColumns),
               sums_.parts[i]);
    }
    const bool first = taken_ <= kExactChunks;
    for (int i = 0; i < kTile; ++i) {
      out_[i] = (first ? 0 : out_[i]) + lanes[i];
    }
    clear();
    if (taken_ < group_) return;
    out_ += kTile;
    taken_ = 0;
  }

  int64_t* out_;
  int64_t group_;
  int64_t taken_ = 0;  // chunks of the group
  ColumnSums<V> sums_;
};

// kChunks chunks of 16 rows, `stride` apart: the chunks of a row share lines of
// memory, and rows may fall into one set of the cache.
template <class V, bool kStream, int kBits, bool kSums, int kChunks>
[[gnu::always_inline]] inline void pack_chunks(const int8_t* codes,
                                               int64_t stride,
                                               uint8_t* out,
                                               ColumnSums<V> (&sums)[kChunks]) {
  const auto offset = V::broadcast(1 << (kBits - 1));
  for (int part = 0; part < kTile / V::kColumns; ++part) {
    typename V::T units[kChunks][kUnits];
    V::load_units(codes + part * V::kColumns * stride, stride, units);
    for (int c = 0; c < kChunks; ++c) {
      for (auto& unit : units[c]) unit = V::add8(unit, offset);
      put_planes<V, kStream, kBits>(
          units[c], out + c * kBits * kUnitBytes + part * V::kColumns * 4);
      if (kSums) sums[c].parts[part] = V::sums_of(units[c]);
    }
  }
}

template <class V, int kBits, int kChunks>
[[gnu::always_inline]] inline void unpack_chunks(const uint8_t* in,
                                                 int8_t* codes,
                                                 int64_t stride) {
  const auto offset = V::broadcast(1 << (kBits - 1));
  for (int part = 0; part < kTile / V::kColumns; ++part) {
    typename V::T units[kChunks][kUnits];
    for (int c = 0; c < kChunks; ++c) {
      take_planes<V, kBits>(
          in + c * kBits * kUnitBytes + part * V::kColumns * 4, units[c]);
      for (auto& unit : units[c]) unit = V::sub8(unit, offset);
    }
    V::store_units(units, codes + part * V::kColumns * stride, stride);
  }
}

// Where a chunk stands in a matrix [n, k].
struct ChunkPlace {
  int64_t first;    // row
  int64_t columns;  // rows that are there, up to 16
  int64_t k0;
  int64_t values;  // of K that are there, up to 32

  bool whole() const { return columns == kTile && values == kChunk; }
  // Whether it and the next are whole.
  bool pair(int64_t k) const {
    return columns == kTile && k0 + 2 * kChunk <= k;
  }
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

inline int64_t chunks_of(int64_t k) { return (k + kChunk - 1) / kChunk; }

// Hardware prefetchers stop at the end of a page, and a long row is one: asks
// for the same line of the rows of the next tile.
inline void fetch_next_tile(const int8_t* codes, int64_t stride) {
  for (int i = 0; i < kTile; ++i) {
    _mm_prefetch(reinterpret_cast<const char*>(codes + (kTile + i) * stride),
                 _MM_HINT_T1);
  }
}

template <class V, bool kStream, int kBits, bool kSums>
void pack_tiles(const PackLowbitArgs& args, int64_t begin, int64_t end) {
  const int64_t chunks = chunks_of(args.k);
  GroupSums<V> groups(args.sums, args.sum_chunks);
  uint8_t* out = args.packed + begin * chunks * kBits * kUnitBytes;
  for (int64_t tile = begin; tile < end; ++tile) {
    for (int64_t c = 0; c < chunks;) {
      const ChunkPlace at = chunk_place(args.n, args.k, tile, c);
      const int8_t* codes = args.codes + at.first * args.k + at.k0;
      ColumnSums<V> sums[2];
      ColumnSums<V> sum[1];
      if (at.pair(args.k)) {
        fetch_next_tile(codes, args.k);
        pack_chunks<V, kStream, kBits, kSums, 2>(codes, args.k, out, sums);
        if (kSums) groups.take(sums[0]);
        if (kSums) groups.take(sums[1]);
        c += 2;
        out += 2 * kBits * kUnitBytes;
        continue;
      }
      int8_t edge[kTile * kChunk];
      if (!at.whole()) copy_edge(args, at, edge);
      pack_chunks<V, kStream, kBits, kSums, 1>(
          at.whole() ? codes : edge, at.whole() ? args.k : kChunk, out, sum);
      if (kSums) groups.take(sum[0]);
      ++c;
      out += kBits * kUnitBytes;
    }
  }
  if (kStream) _mm_sfence();
}

template <class V, int kBits>
void unpack_tiles(const UnpackLowbitArgs& args, int64_t begin, int64_t end) {
  const int64_t chunks = chunks_of(args.k);
  const uint8_t* in = args.packed + begin * chunks * kBits * kUnitBytes;
  for (int64_t tile = begin; tile < end; ++tile) {
    for (int64_t c = 0; c < chunks;) {
      const ChunkPlace at = chunk_place(args.n, args.k, tile, c);
      int8_t* codes = args.codes + at.first * args.k + at.k0;
      if (at.pair(args.k)) {
        unpack_chunks<V, kBits, 2>(in, codes, args.k);
        c += 2;
        in += 2 * kBits * kUnitBytes;
        continue;
      }
      int8_t edge[kTile * kChunk];
      unpack_chunks<V, kBits, 1>(in, edge, kChunk);
      for (int64_t row = 0; row < at.columns; ++row) {
        memcpy(codes + row * args.k,
               edge + row * kChunk,
               static_cast<size_t>(at.values));
      }
      ++c;
      in += kBits * kUnitBytes;
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

template <class V, bool kStream, int kBits>
void pack_tiles_of(const PackLowbitArgs& args, int64_t begin, int64_t end) {
  if (args.sums == nullptr) {
    pack_tiles<V, kStream, kBits, false>(args, begin, end);
  } else {
    pack_tiles<V, kStream, kBits, true>(args, begin, end);
  }
}

template <class V>
void pack_lowbit_loop(const PackLowbitArgs& args, int64_t begin, int64_t end) {
  // Codes are read much later; whole lines go past the caches.
  const bool stream =
      V::kColumns == kTile &&
      reinterpret_cast<uintptr_t>(args.packed) % kUnitBytes == 0;
  with_bits(args.bits, [&]<int kBits>() {
    if (stream) {
      pack_tiles_of<V, V::kColumns == kTile, kBits>(args, begin, end);
    } else {
      pack_tiles_of<V, false, kBits>(args, begin, end);
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
