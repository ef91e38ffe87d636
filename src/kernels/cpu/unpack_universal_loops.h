#pragma once

#include "kernels/cpu/pack_universal_loops.h"

namespace mantissa::kernels {
namespace {

/// Unpacked codes on their way past the caches: kStageColumns columns of each
/// row, so that whole lines are written.
constexpr int kStageColumns = 256;

struct Stage {
  alignas(64) int8_t codes[kStripRows][kStageColumns];
};

// Codes go to the rows at `to`, or to the stage first.
template <bool kStream>
struct Target {
  int8_t* to;  // [8, k]
  int64_t k;
  Stage* stage;

  [[gnu::always_inline]] inline int8_t* at(int row, int64_t column) const {
    if constexpr (kStream) {
      return stage->codes[row] + column % kStageColumns;
    } else {
      return to + row * k + column;
    }
  }

  // Columns before `end` are there; writes them out when the stage is full, or
  // the row complete.
  [[gnu::always_inline]] inline void filled(int64_t end) const {
    if constexpr (kStream) {
      if (end % kStageColumns == 0 || end == k) flush(end);
    }
  }

  inline void flush(int64_t end) const {
    const int64_t begin = (end - 1) / kStageColumns * kStageColumns;
    for (int row = 0; row < kStripRows; ++row) {
      int8_t* out = to + row * k + begin;
      for (int64_t i = 0; i < end - begin; i += 32) {
        LanesAvx2::put<true>(out + i, LanesAvx2::load(stage->codes[row] + i));
      }
    }
  }
};

// Columns [begin, end) of a row, that begins a group, in whole vectors, then
// what is left in narrower ones.
template <class V, int kBits, bool kLut, bool kStream>
[[gnu::always_inline]] inline const uint8_t* unpack_columns(
    const uint8_t* in,
    const Meaning& meaning,
    const Target<kStream>& target,
    int64_t begin,
    int64_t end,
    EightRows& total) {
  using T = typename V::T;
  constexpr int kColumns = 16 * V::kLanes;
  int64_t k = begin;
  if (k + kColumns <= end) {
    const T lut = in_all_lanes<V>(meaning.lut);
    const T offset = V::broadcast(
        offset_of(kBits, kLut ? CodeRange::Index : CodeRange::Signed));
    T sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    for (; k + kColumns <= end; k += kColumns) {
      T bytes[kBits];
      T block[8];
      prefetch<16 * kBits * V::kLanes>(in);
      V::template load_units<kBits>(in, bytes);
      in += 16 * kBits * V::kLanes;
      unpack_lanes<V, kBits, 128>(bytes, block);
      add_rows<V, kBits, kLut>(block, lut, sums);
      each<4>([&]<int kI>() __attribute__((always_inline)) {
        const T low = V::sub8(block[kI], offset);
        const T high = V::sub8(block[kI + 4], offset);
        V::store(target.at(2 * kI, k), V::low64(low, high));
        V::store(target.at(2 * kI + 1, k), V::high64(low, high));
      });
      target.filled(k + kColumns);
    }
    add_up<V>(sums, total);
  }
  if constexpr (V::kLanes > 1) {
    in = unpack_columns<typename V::Half, kBits, kLut, kStream>(
        in, meaning, target, k, end, total);
  }
  return in;
}

inline EightRows load8(const uint8_t* in) {
  return {LanesSse::load(in), LanesSse::load(in + 16)};
}

// Not 0 where sums are not what is stored.
inline __m128i difference(EightRows stored, EightRows sum, __m128i excess) {
  return _mm_or_si128(
      _mm_xor_si128(stored.low, _mm_sub_epi32(sum.low, excess)),
      _mm_xor_si128(stored.high, _mm_sub_epi32(sum.high, excess)));
}

// Not 0 where an integer needs more than 8 bits.
inline __m128i too_wide(__m128i v) {
  return _mm_xor_si128(v, _mm_srai_epi32(_mm_slli_epi32(v, 24), 24));
}

template <class V, int kBits, bool kLut, bool kStream>
bool unpack_strips(const UnpackUniversalArgs& args) {
  const int64_t groups = args.k / args.group;
  const bool has_zeros = args.zero_point != nullptr;
  Stage stage;
  Target<kStream> target{args.codes, args.k, &stage};
  const uint8_t* in = args.packed;
  Meaning meaning = meaning_of<kBits, kLut>(args.group, in);
  __m128i unsound = _mm_setzero_si128();
  for (int64_t strip = 0; strip < args.strips; ++strip) {
    if (kLut) {
      meaning.lut = LanesSse::load(in);
      in += kLutBytes;
    }
    const int64_t row = kStripRows * strip;
    target.to = args.codes + row * args.k;
    FieldWriter scale(args.scale + row * groups, groups);
    FieldWriter zero_point(has_zeros ? args.zero_point + row * groups : nullptr,
                           groups);
    for (int64_t g = 0; g < groups; ++g) {
      EightRows sum{_mm_setzero_si128(), _mm_setzero_si128()};
      in = unpack_columns<V, kBits, kLut, kStream>(
          in, meaning, target, g * args.group, (g + 1) * args.group, sum);
      scale.put(g, load8(in));
      unsound = _mm_or_si128(unsound,
                             difference(load8(in + 32), sum, meaning.excess));
      in += 64;
      if (has_zeros) {
        const EightRows zeros = load8(in);
        zero_point.put(g, zeros);
        unsound = _mm_or_si128(
            unsound, _mm_or_si128(too_wide(zeros.low), too_wide(zeros.high)));
        in += 32;
      }
    }
    if (args.bias != nullptr) {
      memcpy(args.bias + row, in, 32);
      in += 32;
    }
  }
  if (kStream) _mm_sfence();
  return !LanesSse::any(unsound);
}

template <class V, bool kLut, bool kStream>
bool unpack_strips_of(int bits, const UnpackUniversalArgs& args) {
  switch (bits) {
    case 1:
      return unpack_strips<V, 1, kLut, kStream>(args);
    case 2:
      return unpack_strips<V, 2, kLut, kStream>(args);
    case 3:
      return unpack_strips<V, 3, kLut, kStream>(args);
    case 4:
      return unpack_strips<V, 4, kLut, kStream>(args);
    default:
      break;
  }
  if constexpr (!kLut) {
    switch (bits) {
      case 5:
        return unpack_strips<V, 5, kLut, kStream>(args);
      case 6:
        return unpack_strips<V, 6, kLut, kStream>(args);
      case 7:
        return unpack_strips<V, 7, kLut, kStream>(args);
      default:
        return unpack_strips<V, 8, kLut, kStream>(args);
    }
  }
  return false;
}

// Steps must not cross the end of the stage, and lines must be whole.
inline bool can_stage(const UnpackUniversalArgs& args) {
  return args.stores == Stores::Streaming && is_aligned(args.codes, 64) &&
         args.k % 64 == 0 &&
         (args.group % 64 == 0 || args.group == 32 || args.group == 16);
}

template <class V>
bool unpack_universal_loop(const PackUniversalProblem& problem,
                           const UnpackUniversalArgs& args) {
  const bool stream = can_stage(args);
  if (problem.lut) {
    return stream ? unpack_strips_of<V, true, true>(problem.bits, args)
                  : unpack_strips_of<V, true, false>(problem.bits, args);
  }
  return stream ? unpack_strips_of<V, false, true>(problem.bits, args)
                : unpack_strips_of<V, false, false>(problem.bits, args);
}

}  // namespace
}  // namespace mantissa::kernels
