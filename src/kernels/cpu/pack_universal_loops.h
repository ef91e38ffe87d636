#pragma once

// Only C headers and <immintrin.h> here: instruction-set files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/bit_blocks.h"
#include "kernels/cpu/group_fields.h"
#include "kernels/cpu/pack_bits_loops.h"
#include "kernels/pack_universal_args.h"

namespace mantissa::kernels {
namespace {

// The strip layout of PackUniversalProblem in vectors: lane l of vector r has
// 16 columns of row r, 16 l further on. Halves of rows 2 i and 2 i + 1 make
// vectors i and 4 + i of the block of that lane:
//
//   row 0   | k 0..7 | k 8..15 |        block vector 0   | row 0 | row 1 |
//   row 1   | k 0..7 | k 8..15 |   ->   ...                   k 0..7
//   ...                                 block vector 4   | row 0 | row 1 |
//                                                             k 8..15

constexpr int kLutBytes = 16;
constexpr int kByteBias = 128;  // what flipping the top bit adds to an int8

// What turns a sum of stored codes into one of values.
struct Meaning {
  int64_t group;
  __m128i excess;  // to be taken off each sum
  __m128i lut;
};

template <int kBits, bool kLut>
Meaning meaning_of(int64_t group, const void* lut) {
  const int each_code =
      kLut || kBits == 8 ? kByteBias : offset_of(kBits, CodeRange::Signed);
  Meaning meaning{group,
                  _mm_set1_epi32(static_cast<int>(each_code * group)),
                  _mm_setzero_si128()};
  if (kLut) meaning.lut = LanesSse::load(lut);
  return meaning;
}

template <class V>
[[gnu::always_inline]] inline typename V::T in_all_lanes(__m128i v) {
  alignas(16) int8_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), v);
  return V::table(bytes);
}

// Stored codes as unsigned bytes that may be added up.
template <class V, int kBits, bool kLut>
[[gnu::always_inline]] inline typename V::T summand(typename V::T stored,
                                                    typename V::T lut) {
  if constexpr (kLut) {
    return V::bit_xor(V::shuffle(lut, stored), V::broadcast(0x80));
  } else if constexpr (kBits == 8) {
    return V::bit_xor(stored, V::broadcast(0x80));
  } else {
    return stored;
  }
}

// sums[i] has rows 2 i and 2 i + 1 in its 64-bit elements.
template <class V, int kBits, bool kLut>
[[gnu::always_inline]] inline void add_rows(const typename V::T (&block)[8],
                                            typename V::T lut,
                                            typename V::T (&sums)[4]) {
  each<4>([&]<int kI>() __attribute__((always_inline)) {
    const auto low = V::sum8(summand<V, kBits, kLut>(block[kI], lut));
    const auto high = V::sum8(summand<V, kBits, kLut>(block[kI + 4], lut));
    sums[kI] = V::add32(sums[kI], V::add32(low, high));
  });
}

template <class V>
[[gnu::always_inline]] inline void add_up(const typename V::T (&sums)[4],
                                          EightRows& total) {
  total.low = _mm_add_epi32(total.low, V::fold(V::even32(sums[0], sums[1])));
  total.high = _mm_add_epi32(total.high, V::fold(V::even32(sums[2], sums[3])));
}

/// Where packing stands: what is read, what is written, what was seen.
struct PackState {
  const int8_t* codes;  // the first row, at the group
  int64_t k;
  int64_t column;  // of the group
  uint8_t* out;
  __m128i seen;
};

// What is read kAhead bytes later: in these rows, or those of the next strip.
[[gnu::always_inline]] inline void prefetch_rows(const PackState& state,
                                                 int64_t k) {
  if ((state.column + k) % 64 != 0) return;
  constexpr int kColumnsAhead = kAhead / kStripRows;
  const bool next = state.column + k + kColumnsAhead >= state.k;
  const int8_t* p =
      state.codes + k + kColumnsAhead + (next ? (kStripRows - 1) * state.k : 0);
  for (int row = 0; row < kStripRows; ++row) {
    _mm_prefetch(p + row * state.k, _MM_HINT_T0);
  }
}

// Columns [begin, end) of a group in whole vectors, then what is left in
// narrower ones.
template <class V, int kBits, bool kLut, bool kStream>
[[gnu::always_inline]] inline void pack_columns(PackState& state,
                                                const Meaning& meaning,
                                                int64_t begin,
                                                EightRows& total) {
  using T = typename V::T;
  constexpr int kColumns = 16 * V::kLanes;
  int64_t k = begin;
  if (k + kColumns <= meaning.group) {
    const T lut = in_all_lanes<V>(meaning.lut);
    const T offset = V::broadcast(
        offset_of(kBits, kLut ? CodeRange::Index : CodeRange::Signed));
    T sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    T seen = V::zero();
    uint8_t* out = state.out;
    for (; k + kColumns <= meaning.group; k += kColumns) {
      T row[8];
      T block[8];
      T bytes[kBits];
      prefetch_rows(state, k);
      each<8>([&]<int kI>() __attribute__((always_inline)) {
        row[kI] = V::add8(V::load(state.codes + kI * state.k + k), offset);
        seen = V::bit_or(seen, row[kI]);
      });
      each<4>([&]<int kI>() __attribute__((always_inline)) {
        block[kI] = V::low64(row[2 * kI], row[2 * kI + 1]);
        block[kI + 4] = V::high64(row[2 * kI], row[2 * kI + 1]);
      });
      add_rows<V, kBits, kLut>(block, lut, sums);
      pack_lanes<V, kBits, 128>(block, bytes);
      V::template store_units<kStream, kBits>(out, bytes);
      out += 16 * kBits * V::kLanes;
    }
    state.out = out;
    state.seen = _mm_or_si128(state.seen, V::merged(seen));
    add_up<V>(sums, total);
  }
  if constexpr (V::kLanes > 1) {
    pack_columns<typename V::Half, kBits, kLut, kStream>(
        state, meaning, k, total);
  }
}

template <bool kStream>
[[gnu::always_inline]] inline uint8_t* put8(uint8_t* out, EightRows rows) {
  store16<kStream>(out, rows.low);
  store16<kStream>(out + 16, rows.high);
  return out + 32;
}

template <class V, int kBits, bool kLut, bool kStream>
bool pack_strips(const PackUniversalArgs& args) {
  const int64_t groups = args.k / args.group;
  const Meaning meaning = meaning_of<kBits, kLut>(args.group, args.lut);
  const bool has_zeros = args.zero_point != nullptr;
  PackState state{args.codes, args.k, 0, args.packed, _mm_setzero_si128()};
  for (int64_t strip = 0; strip < args.strips; ++strip) {
    if (kLut) {
      store16<kStream>(state.out, meaning.lut);
      state.out += kLutBytes;
    }
    const int64_t row = kStripRows * strip;
    FieldReader scale(args.scale + row * groups, groups);
    FieldReader zero_point(has_zeros ? args.zero_point + row * groups : nullptr,
                           groups);
    for (int64_t g = 0; g < groups; ++g) {
      EightRows sum{_mm_setzero_si128(), _mm_setzero_si128()};
      state.codes = args.codes + row * args.k + g * args.group;
      state.column = g * args.group;
      pack_columns<V, kBits, kLut, kStream>(state, meaning, 0, sum);
      state.out = put8<kStream>(state.out, scale.take(g));
      sum.low = _mm_sub_epi32(sum.low, meaning.excess);
      sum.high = _mm_sub_epi32(sum.high, meaning.excess);
      state.out = put8<kStream>(state.out, sum);
      if (has_zeros) state.out = put8<kStream>(state.out, zero_point.take(g));
    }
    if (args.bias != nullptr) {
      const float* bias = args.bias + row;
      state.out = put8<kStream>(
          state.out, {LanesSse::load(bias), LanesSse::load(bias + 4)});
    }
  }
  if (kStream) _mm_sfence();
  const int above = kBits == 8 ? 0 : -1 << (kBits % 8);
  return !LanesSse::any(_mm_and_si128(state.seen, LanesSse::broadcast(above)));
}

template <class V, bool kLut, bool kStream>
bool pack_strips_of(int bits, const PackUniversalArgs& args) {
  switch (bits) {
    case 1:
      return pack_strips<V, 1, kLut, kStream>(args);
    case 2:
      return pack_strips<V, 2, kLut, kStream>(args);
    case 3:
      return pack_strips<V, 3, kLut, kStream>(args);
    case 4:
      return pack_strips<V, 4, kLut, kStream>(args);
    default:
      break;
  }
  if constexpr (!kLut) {
    switch (bits) {
      case 5:
        return pack_strips<V, 5, kLut, kStream>(args);
      case 6:
        return pack_strips<V, 6, kLut, kStream>(args);
      case 7:
        return pack_strips<V, 7, kLut, kStream>(args);
      default:
        return pack_strips<V, 8, kLut, kStream>(args);
    }
  }
  return false;
}

template <class V>
bool pack_universal_loop(const PackUniversalProblem& problem,
                         const PackUniversalArgs& args) {
  const bool stream =
      args.stores == Stores::Streaming && is_aligned(args.packed, 16);
  if (problem.lut) {
    return stream ? pack_strips_of<V, true, true>(problem.bits, args)
                  : pack_strips_of<V, true, false>(problem.bits, args);
  }
  return stream ? pack_strips_of<V, false, true>(problem.bits, args)
                : pack_strips_of<V, false, false>(problem.bits, args);
}

}  // namespace
}  // namespace mantissa::kernels
