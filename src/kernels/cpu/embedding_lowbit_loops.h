#pragma once

// Rows of low-bit weights for vectors V of floats. A row has 4 bytes in every
// unit of 64, so a chunk of 32 codes is `bits` loads of 4 bytes; a plane's
// words become 32 bytes, one code's bits each, by one permutation, one shift
// for each word and one mask. Only C headers and <immintrin.h> here: AVX2 and
// AVX-512 files include this.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

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

/// Scale and zero point of a row's group, in all lanes.
template <class V>
struct EmbeddingGrid {
  typename V::Float scale;
  typename V::Float zero;
};

template <class V>
[[gnu::always_inline]] inline EmbeddingGrid<V> embedding_grid(
    const LowbitWeightView& w, int64_t at) {
  float scale;
  if (w.scale_type == LowbitScale::F32) {
    scale = static_cast<const float*>(w.scales)[at];
  } else {
    const uint16_t bits = static_cast<const uint16_t*>(w.scales)[at];
    scale = w.scale_type == LowbitScale::F16
                ? _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)))
                : _mm_cvtss_f32(_mm_castsi128_ps(
                      _mm_cvtsi32_si128(static_cast<int32_t>(bits) << 16)));
  }
  const float zero =
      w.zeros == nullptr ? 0.0f : static_cast<float>(w.zeros[at]);
  return {V::broadcast(scale), V::broadcast(zero)};
}

/// The values of one chunk.
template <class V, int kBits, Element kOut>
[[gnu::always_inline]] inline void embedding_chunk(const uint8_t* at,
                                                   const EmbeddingGrid<V>& grid,
                                                   char* out) {
  constexpr int kBytes = kOut == Element::F32 ? 4 : 2;
  alignas(32) int8_t codes[kLowbitChunk];
  _mm256_store_si256(
      reinterpret_cast<__m256i*>(codes),
      _mm256_sub_epi8(embedding_codes<kBits>(at),
                      _mm256_set1_epi8(static_cast<char>(1 << (kBits - 1)))));
#pragma GCC unroll 4
  for (int i = 0; i < kLowbitChunk; i += V::kFloats) {
    const auto steps = V::subtract(V::load_codes(codes + i), grid.zero);
    V::template store<kOut>(V::multiply(steps, grid.scale), out + i * kBytes);
  }
}

template <class V, int kBits, Element kOut>
inline void embedding_values(const EmbeddingLowbitArgs& args,
                             int64_t row,
                             char* out) {
  constexpr int64_t kBytes = kOut == Element::F32 ? 4 : 2;
  const LowbitWeightView& w = args.w;
  const int64_t tile = row / kLowbitTile;
  const int64_t lane = row % kLowbitTile;
  const int64_t groups = w.k / w.group;
  const uint8_t* at =
      w.codes + tile * (w.k / kLowbitChunk) * kBits * kEmbeddingUnit + 4 * lane;
  for (int64_t g = 0; g < groups; ++g) {
    const EmbeddingGrid<V> grid =
        embedding_grid<V>(w, (tile * groups + g) * kLowbitTile + lane);
    const int64_t end = (g + 1) * w.group;
    for (int64_t k = g * w.group; k < end; k += kLowbitChunk) {
      const int64_t count = args.columns - k;
      if (count >= kLowbitChunk) {
        embedding_chunk<V, kBits, kOut>(at, grid, out + k * kBytes);
      } else {
        alignas(64) char values[kLowbitChunk * kBytes];
        embedding_chunk<V, kBits, kOut>(at, grid, values);
        memcpy(out + k * kBytes, values, static_cast<size_t>(count * kBytes));
      }
      at += kBits * kEmbeddingUnit;
    }
  }
}

template <class V, int kBits, Element kOut>
void embedding_rows(const EmbeddingLowbitArgs& args,
                    int64_t begin,
                    int64_t end) {
  constexpr int64_t kBytes = kOut == Element::F32 ? 4 : 2;
  for (int64_t i = begin; i < end; ++i) {
    embedding_values<V, kBits, kOut>(
        args,
        embedding_row(args, i),
        static_cast<char*>(args.out) + i * args.columns * kBytes);
  }
}

template <class V, int kBits>
void embedding_bits(const EmbeddingLowbitArgs& args,
                    int64_t begin,
                    int64_t end) {
  switch (args.type) {
    case Element::F32:
      return embedding_rows<V, kBits, Element::F32>(args, begin, end);
    case Element::Bf16:
      return embedding_rows<V, kBits, Element::Bf16>(args, begin, end);
    case Element::F16:
      return embedding_rows<V, kBits, Element::F16>(args, begin, end);
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
