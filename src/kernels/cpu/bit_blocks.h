#pragma once

#include <stdint.h>

#include "kernels/common/bit_layout.h"
#include "kernels/cpu/bit_cells.h"
#include "kernels/cpu/lanes_avx2.h"

namespace mantissa::kernels {
namespace {

// Calls f<0>(), f<1>() ... f<kCount - 1>().
template <int kCount, int kFirst = 0, class F>
[[gnu::always_inline]] inline void each(const F& f) {
  if constexpr (kFirst < kCount) {
    f.template operator()<kFirst>();
    each<kCount, kFirst + 1>(f);
  }
}

/// How the codes and bytes of cells stand in the 128 codes of a lane.
enum class Arrangement {
  Rows,    // a cell has one code in each of its vectors, byte by byte
  Halves,  // two blocks: one half of a vector each
  Groups,  // a cell's codes and bytes stand one after the other
};

constexpr Arrangement arrangement(int bits, int block) {
  if (bits % 2 == 1) {
    return block == 128  ? Arrangement::Rows
           : block == 64 ? Arrangement::Halves
                         : Arrangement::Groups;
  }
  return bits != 4 && bits != 8 && block == 32 ? Arrangement::Halves
                                               : Arrangement::Rows;
}

// Every byte address of eight vectors, (vector, byte) as 3 + 4 bits, rotated to
// the left by one bit. Seven times is the identity.
template <class V>
[[gnu::always_inline]] inline void rotate(typename V::T (&v)[8]) {
  typename V::T out[8];
  each<4>([&]<int kI>() __attribute__((always_inline)) {
    out[2 * kI] = V::low8(v[kI], v[kI + 4]);
    out[2 * kI + 1] = V::high8(v[kI], v[kI + 4]);
  });
  each<8>([&]<int kI>() __attribute__((always_inline)) { v[kI] = out[kI]; });
}

// 16 cells of 8 consecutive bytes: byte j of all cells in vector j, and back.
template <class V>
[[gnu::always_inline]] inline void cells_to_vectors(typename V::T (&v)[8]) {
  each<4>([&]<int kI>() __attribute__((always_inline)) { rotate<V>(v); });
}

template <class V>
[[gnu::always_inline]] inline void vectors_to_cells(typename V::T (&v)[8]) {
  each<3>([&]<int kI>() __attribute__((always_inline)) { rotate<V>(v); });
}

// Where code `code` of a cell stands in its block when blocks take halves.
struct HalfRow {
  int row;
  int half;
};

constexpr HalfRow half_row(int bits, int code) {
  const int unit = 8 * cell_codes(bits);  // 8 cells a block
  const int index = code_index(bits, unit, 0, code);
  return {index / 16, index / 8 % 2};
}

constexpr int code_at(int bits, int row, int half) {
  int code = 0;
  while (half_row(bits, code).row != row || half_row(bits, code).half != half) {
    ++code;
  }
  return code;
}

// Rows of codes to the codes of cells.
template <class V, int kBits, Arrangement kArrangement>
[[gnu::always_inline]] inline void codes_to_cells(typename V::T (&r)[8]) {
  using T = typename V::T;
  if constexpr (kArrangement == Arrangement::Groups) {
    cells_to_vectors<V>(r);
  } else if constexpr (kArrangement == Arrangement::Halves) {
    constexpr int kCodes = cell_codes(kBits);
    T s[8];
    each<8>([&]<int kI>() __attribute__((always_inline)) {
      constexpr int kFirst = kI / kCodes * kCodes;
      constexpr HalfRow kFrom = half_row(kBits, kI % kCodes);
      const T a = r[kFirst + kFrom.row];
      const T b = r[kFirst + kCodes / 2 + kFrom.row];
      s[kI] = kFrom.half == 0 ? V::low64(a, b) : V::high64(a, b);
    });
    each<8>([&]<int kI>() __attribute__((always_inline)) { r[kI] = s[kI]; });
  }
}

template <class V, int kBits, Arrangement kArrangement>
[[gnu::always_inline]] inline void cells_to_codes(typename V::T (&s)[8]) {
  using T = typename V::T;
  if constexpr (kArrangement == Arrangement::Groups) {
    vectors_to_cells<V>(s);
  } else if constexpr (kArrangement == Arrangement::Halves) {
    constexpr int kCodes = cell_codes(kBits);
    T r[8];
    each<8>([&]<int kI>() __attribute__((always_inline)) {
      constexpr int kFirst = kI / kCodes * kCodes;
      constexpr int kRow = kI % (kCodes / 2);
      const T low = s[kFirst + code_at(kBits, kRow, 0)];
      const T high = s[kFirst + code_at(kBits, kRow, 1)];
      r[kI] =
          kI % kCodes < kCodes / 2 ? V::low64(low, high) : V::high64(low, high);
    });
    each<8>([&]<int kI>() __attribute__((always_inline)) { s[kI] = r[kI]; });
  }
}

// Vector `row` of cells of 8 bytes, of which `bits` count -> vector `out` of
// cells of `bits` bytes.
constexpr ByteMap compaction(int bits, int out, int row) {
  ByteMap map{};
  for (int i = 0; i < 16; ++i) {
    const int cell = (16 * out + i) / bits;
    map.byte[i] = static_cast<int8_t>(
        cell / 2 == row ? 8 * (cell % 2) + (16 * out + i) % bits : -1);
  }
  return map;
}

// The inverse; the bytes that are missing become 0.
constexpr ByteMap expansion(int bits, int row, int in) {
  ByteMap map{};
  for (int i = 0; i < 16; ++i) {
    const int at = (2 * row + i / 8) * bits + i % 8;
    map.byte[i] =
        static_cast<int8_t>(i % 8 < bits && at / 16 == in ? at % 16 : -1);
  }
  return map;
}

constexpr bool takes_any(const ByteMap& map) {
  for (const int8_t byte : map.byte) {
    if (byte >= 0) return true;
  }
  return false;
}

template <class V, int kBits>
[[gnu::always_inline]] inline void compact(const typename V::T (&rows)[8],
                                           typename V::T (&out)[kBits]) {
  each<kBits>([&]<int kOut>() __attribute__((always_inline)) {
    constexpr int kFirst = 8 * kOut / kBits;
    out[kOut] = V::zero();
    each<8>([&]<int kRow>() __attribute__((always_inline)) {
      if constexpr (takes_any(compaction(kBits, kOut, kRow))) {
        static constexpr ByteMap kMap = compaction(kBits, kOut, kRow);
        const auto part = V::shuffle(rows[kRow], V::table(kMap.byte));
        out[kOut] = kRow == kFirst ? part : V::bit_or(out[kOut], part);
      }
    });
  });
}

template <class V, int kBits>
[[gnu::always_inline]] inline void expand(const typename V::T (&in)[kBits],
                                          typename V::T (&rows)[8]) {
  each<8>([&]<int kRow>() __attribute__((always_inline)) {
    constexpr int kFirst = 2 * kRow * kBits / 16;
    each<kBits>([&]<int kIn>() __attribute__((always_inline)) {
      if constexpr (takes_any(expansion(kBits, kRow, kIn))) {
        static constexpr ByteMap kMap = expansion(kBits, kRow, kIn);
        const auto part = V::shuffle(in[kIn], V::table(kMap.byte));
        rows[kRow] = kIn == kFirst ? part : V::bit_or(rows[kRow], part);
      }
    });
  });
}

// Bytes of cells to bytes as they are stored.
template <class V, int kBits, Arrangement kArrangement>
[[gnu::always_inline]] inline void bytes_to_blocks(typename V::T (&p)[kBits]) {
  using T = typename V::T;
  if constexpr (kArrangement == Arrangement::Groups && kBits > 1) {
    T rows[8];
    each<8>([&]<int kI>() __attribute__((always_inline)) {
      if constexpr (kI < kBits) {
        rows[kI] = p[kI];
      } else {
        rows[kI] = V::zero();
      }
    });
    vectors_to_cells<V>(rows);
    compact<V, kBits>(rows, p);
  } else if constexpr (kArrangement == Arrangement::Halves) {
    // Pieces of 8 bytes: those of the first block, then those of the second.
    constexpr int kBytes = cell_bytes(kBits);
    T out[kBits];
    each<kBits>([&]<int kI>() __attribute__((always_inline)) {
      constexpr int kFirst = kI / kBytes * kBytes;
      constexpr int kPiece = 2 * (kI % kBytes);
      if constexpr (kPiece + 1 < kBytes) {
        out[kI] = V::low64(p[kFirst + kPiece], p[kFirst + kPiece + 1]);
      } else if constexpr (kPiece >= kBytes) {
        out[kI] = V::high64(p[kFirst + kPiece - kBytes],
                            p[kFirst + kPiece + 1 - kBytes]);
      } else {
        out[kI] = V::low_high(p[kFirst + kPiece], p[kFirst]);
      }
    });
    each<kBits>([&]<int kI>()
                    __attribute__((always_inline)) { p[kI] = out[kI]; });
  }
}

template <class V, int kBits, Arrangement kArrangement>
[[gnu::always_inline]] inline void blocks_to_bytes(typename V::T (&p)[kBits]) {
  using T = typename V::T;
  if constexpr (kArrangement == Arrangement::Groups && kBits > 1) {
    T rows[8];
    expand<V, kBits>(p, rows);
    cells_to_vectors<V>(rows);
    each<kBits>([&]<int kI>()
                    __attribute__((always_inline)) { p[kI] = rows[kI]; });
  } else if constexpr (kArrangement == Arrangement::Halves) {
    constexpr int kBytes = cell_bytes(kBits);
    T out[kBits];
    each<kBits>([&]<int kI>() __attribute__((always_inline)) {
      constexpr int kFirst = kI / kBytes * kBytes;
      constexpr int kByte = kI % kBytes;
      const T a = p[kFirst + kByte / 2];
      const T b = p[kFirst + (kBytes + kByte) / 2];
      out[kI] = kByte % 2 == 0 ? V::low_high(a, b) : V::high_low(a, b);
    });
    each<kBits>([&]<int kI>()
                    __attribute__((always_inline)) { p[kI] = out[kI]; });
  }
}

/// 128 stored codes a lane, in rows of 16, to 16 * kBits bytes a lane.
template <class V, int kBits, int kBlock>
[[gnu::always_inline]] inline void pack_lanes(typename V::T (&codes)[8],
                                              typename V::T (&bytes)[kBits]) {
  constexpr Arrangement kArrangement = arrangement(kBits, kBlock);
  codes_to_cells<V, kBits, kArrangement>(codes);
  each<8 / cell_codes(kBits)>([&]<int kI>() __attribute__((always_inline)) {
    Cell<V, kBits>::pack(codes + kI * cell_codes(kBits),
                         bytes + kI * cell_bytes(kBits));
  });
  bytes_to_blocks<V, kBits, kArrangement>(bytes);
}

/// The inverse of pack_lanes().
template <class V, int kBits, int kBlock>
[[gnu::always_inline]] inline void unpack_lanes(typename V::T (&bytes)[kBits],
                                                typename V::T (&codes)[8]) {
  constexpr Arrangement kArrangement = arrangement(kBits, kBlock);
  blocks_to_bytes<V, kBits, kArrangement>(bytes);
  each<8 / cell_codes(kBits)>([&]<int kI>() __attribute__((always_inline)) {
    Cell<V, kBits>::unpack(bytes + kI * cell_bytes(kBits),
                           codes + kI * cell_codes(kBits));
  });
  cells_to_codes<V, kBits, kArrangement>(codes);
}

}  // namespace
}  // namespace mantissa::kernels
