#pragma once

// Rows of low-bit weights for vectors V of floats, Columns8 or Columns16 with
// put() to an Element. A row has 4 bytes in every
// unit of 64, so a chunk of 32 codes is `bits` loads of 4 bytes; a plane's
// words become 32 bytes, one code's bits each, by one permutation, one shift
// for each word and one mask. Only C headers and <immintrin.h> here: AVX2 and
// AVX-512 files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/lowbit_segments.h"
#include "kernels/cpu/lowbit_values.h"
#include "kernels/embedding_lowbit_args.h"

namespace mantissa::kernels {
namespace {

constexpr int kEmbeddingUnit = 64;  // bytes from a row's word to its next

[[gnu::always_inline]] inline int32_t word(const uint8_t* at, int unit) {
  int32_t out;
  memcpy(&out, at + unit * kEmbeddingUnit, sizeof(out));
  return out;
}

[[gnu::always_inline]] inline __m128i four_words(const uint8_t* at, int unit) {
  return _mm_setr_epi32(word(at, unit),
                        word(at, unit + 1),
                        word(at, unit + 2),
                        word(at, unit + 3));
}

/// A plane of kWidth bits, whose first word is at `at`: 32 bytes.
template <int kWidth>
[[gnu::always_inline]] inline __m256i embedding_plane(const uint8_t* at) {
  if constexpr (kWidth == 8) {
    return _mm256_setr_m128i(four_words(at, 0), four_words(at, 4));
  } else {
    __m256i words;
    __m256i shifts;
    if constexpr (kWidth == 4) {
      words = _mm256_permutevar8x32_epi32(
          _mm256_castsi128_si256(four_words(at, 0)),
          _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
      shifts = _mm256_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4);
    } else if constexpr (kWidth == 2) {
      words = _mm256_setr_m128i(_mm_set1_epi32(word(at, 0)),
                                _mm_set1_epi32(word(at, 1)));
      shifts = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    } else {
      words = _mm256_set1_epi32(word(at, 0));
      shifts = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    }
    return _mm256_and_si256(_mm256_srlv_epi32(words, shifts),
                            _mm256_set1_epi8((1 << kWidth) - 1));
  }
}

/// 32 codes in [0, 2^kBits).
template <int kBits>
[[gnu::always_inline]] inline __m256i embedding_codes(const uint8_t* at) {
  if constexpr (kBits > 4 && kBits < 8) {
    return _mm256_or_si256(
        embedding_plane<4>(at),
        _mm256_slli_epi16(embedding_codes<kBits - 4>(at + 4 * kEmbeddingUnit),
                          4));
  } else if constexpr (kBits == 3) {
    return _mm256_or_si256(
        embedding_plane<2>(at),
        _mm256_slli_epi16(embedding_plane<1>(at + 2 * kEmbeddingUnit), 2));
  } else {
    return embedding_plane<kBits>(at);
  }
}

/// How a code becomes a value: code * scale; float8; with an offset, in float32
/// or rounded once to 16 bits.
enum class EmbeddingWay { Product, Float8, Sum, SumOnce };

constexpr bool has_offsets(EmbeddingWay way) {
  return way == EmbeddingWay::Sum || way == EmbeddingWay::SumOnce;
}

/// Scale, zero point and offset of a row's group, in all lanes.
template <class V>
struct EmbeddingGrid {
  typename V::Float scale;
  typename V::Float zero;  // of codes less 2^(bits-1)
  typename V::Float offset;
};

[[gnu::always_inline]] inline float embedding_float(LowbitScale type,
                                                    const void* from,
                                                    int64_t at) {
  if (type == LowbitScale::F32) return static_cast<const float*>(from)[at];
  const uint16_t bits = static_cast<const uint16_t*>(from)[at];
  return type == LowbitScale::F16
             ? _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
             : _mm_cvtss_f32(_mm_castsi128_ps(
                   _mm_cvtsi32_si128(static_cast<int32_t>(bits) << 16)));
}

/// Of a group, whose metadata of both levels stand at `at` and `super`.
template <class V, int kBits, EmbeddingWay kWay>
[[gnu::always_inline]] inline EmbeddingGrid<V> embedding_grid(
    const LowbitWeightView& w, int64_t at, int64_t super) {
  const auto level = [&](const void* values,
                         const int8_t* factors) __attribute__((always_inline)) {
    const float value = embedding_float(w.scale_type, values, super);
    return factors == nullptr ? value : value * static_cast<float>(factors[at]);
  };
  int zero = w.from_zero ? -(1 << (kBits - 1)) : 0;
  if (w.zeros != nullptr) zero += w.zeros[at];
  EmbeddingGrid<V> out;
  out.scale = V::splat(level(w.scales, w.factors));
  out.zero = V::splat(static_cast<float>(zero));
  out.offset = out.zero;
  if constexpr (has_offsets(kWay)) {
    out.offset = V::splat(level(w.offsets, w.offset_factors));
  }
  return out;
}

/// The values of codes, which are less 2^(bits-1) unless they are float8.
template <class V, EmbeddingWay kWay>
[[gnu::always_inline]] inline typename V::Float embedding_value(
    const EmbeddingLowbitArgs& args,
    const int8_t* codes,
    const EmbeddingGrid<V>& grid) {
  if constexpr (kWay == EmbeddingWay::Float8) {
    const auto high = V::left32(V::widened(codes), 24);
    return V::multiply(float8_value<V>(high, args.w.code), grid.scale);
  }
  const auto steps = V::subtract(V::eights(codes), grid.zero);
  if constexpr (kWay == EmbeddingWay::Sum) {
    return V::fma(steps, grid.scale, grid.offset);
  } else if constexpr (kWay == EmbeddingWay::SumOnce) {
    return add_once<V>(steps, grid.scale, grid.offset, args.values);
  } else {
    return V::multiply(steps, grid.scale);
  }
}

constexpr int64_t embedding_bytes(Element element) {
  return element == Element::F32 ? 4 : 2;
}

/// The values of one chunk, a grid for each half.
template <class V, int kBits, EmbeddingWay kWay, Element kOut>
[[gnu::always_inline]] inline void embedding_chunk(
    const EmbeddingLowbitArgs& args,
    const uint8_t* at,
    const EmbeddingGrid<V> (&grid)[2],
    char* out) {
  constexpr int kMiddle = kWay == EmbeddingWay::Float8 ? 0 : 1 << (kBits - 1);
  alignas(32) int8_t codes[kLowbitChunk];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(codes),
      _mm256_sub_epi8(embedding_codes<kBits>(at),
                      _mm256_set1_epi8(static_cast<char>(kMiddle))));
#pragma GCC unroll 4
  for (int64_t i = 0; i < kLowbitChunk; i += V::kWidth) {
    V::template put<kOut>(
        embedding_value<V, kWay>(args, codes + i, grid[i / kLowbitHalf]),
        out + i * embedding_bytes(kOut));
  }
}

template <class V, int kBits, EmbeddingWay kWay, Element kOut>
inline void embedding_values(const EmbeddingLowbitArgs& args,
                             int64_t row,
                             char* out) {
  constexpr int64_t kBytes = embedding_bytes(kOut);
  const LowbitWeightView& w = args.w;
  const LowbitGroups groups(w);
  const int64_t tile = row / kLowbitTile;
  const int64_t lane = row % kLowbitTile;
  const auto read = [&](int64_t group) __attribute__((always_inline)) {
    return embedding_grid<V, kBits, kWay>(
        w,
        (tile * groups.groups + group) * kLowbitTile + lane,
        (tile * groups.supers + (group >> groups.shift)) * kLowbitTile + lane);
  };
  const int64_t halves = w.group < kLowbitChunk ? 2 : 1;  // groups of a chunk
  const int64_t span = w.group * halves;
  const uint8_t* at =
      w.codes + tile * (w.k / kLowbitChunk) * kBits * kEmbeddingUnit + 4 * lane;
  alignas(64) char last[kLowbitChunk * kBytes];  // a chunk that is not whole
  int64_t group = 0;
  for (int64_t k = 0; k < w.k; group += halves) {
    EmbeddingGrid<V> grid[2];
    grid[0] = read(group);
    grid[1] = halves == 2 ? read(group + 1) : grid[0];
    for (const int64_t end = k + span; k < end; k += kLowbitChunk) {
      const int64_t count = args.columns - k;
      char* to = count < kLowbitChunk ? last : out + k * kBytes;
      embedding_chunk<V, kBits, kWay, kOut>(args, at, grid, to);
      if (count < kLowbitChunk) {
        memcpy(out + k * kBytes, last, static_cast<size_t>(count * kBytes));
      }
      at += kBits * kEmbeddingUnit;
    }
  }
}

template <class V, int kBits, EmbeddingWay kWay, Element kOut>
void embedding_rows(const EmbeddingLowbitArgs& args,
                    int64_t begin,
                    int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    embedding_values<V, kBits, kWay, kOut>(
        args,
        embedding_row(args, i),
        static_cast<char*>(args.out) +
            i * args.columns * embedding_bytes(kOut));
  }
}

template <class V, int kBits, EmbeddingWay kWay>
void embedding_outputs(const EmbeddingLowbitArgs& args,
                       int64_t begin,
                       int64_t end) {
  switch (args.type) {
    case Element::F32:
      return embedding_rows<V, kBits, kWay, Element::F32>(args, begin, end);
    case Element::Bf16:
      return embedding_rows<V, kBits, kWay, Element::Bf16>(args, begin, end);
    case Element::F16:
      return embedding_rows<V, kBits, kWay, Element::F16>(args, begin, end);
  }
}

template <class V, int kBits>
void embedding_bits(const EmbeddingLowbitArgs& args,
                    int64_t begin,
                    int64_t end) {
  using enum EmbeddingWay;
  if constexpr (kBits == 8) {
    if (args.w.code != LowbitCode::Integer) {
      return embedding_outputs<V, kBits, Float8>(args, begin, end);
    }
  }
  if (args.w.offsets == nullptr) {
    embedding_outputs<V, kBits, Product>(args, begin, end);
  } else if (args.values == LowbitScale::F32) {
    embedding_outputs<V, kBits, Sum>(args, begin, end);
  } else {
    embedding_outputs<V, kBits, SumOnce>(args, begin, end);
  }
}

template <class V>
inline void run_embedding(const EmbeddingLowbitArgs& args,
                          int64_t begin,
                          int64_t end) {
  switch (args.w.bits) {
    case 1:
      return embedding_bits<V, 1>(args, begin, end);
    case 2:
      return embedding_bits<V, 2>(args, begin, end);
    case 3:
      return embedding_bits<V, 3>(args, begin, end);
    case 4:
      return embedding_bits<V, 4>(args, begin, end);
    case 5:
      return embedding_bits<V, 5>(args, begin, end);
    case 6:
      return embedding_bits<V, 6>(args, begin, end);
    case 7:
      return embedding_bits<V, 7>(args, begin, end);
    default:
      return embedding_bits<V, 8>(args, begin, end);
  }
}

}  // namespace
}  // namespace mantissa::kernels
