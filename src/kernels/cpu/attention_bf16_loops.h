#pragma once

// What the rows of attention_bf16 with tables of pairs share: how keys and
// values are packed, and the softmax of a tile of queries. Only C headers here:
// instruction-set files include this.
//
// A tile of queries goes over blocks of keys: products with keys, weights,
// products with values. The sums so far are scaled where a block raises the
// largest score.
#include <immintrin.h>
#include <string.h>

#include "kernels/attention_bf16_args.h"
#include "kernels/common/exp2_polynomial.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kVectors = kAttentionPanel / kLanes;  // of a panel's keys
constexpr int64_t kBlock = 4 * kAttentionPanel;         // keys

// Packed keys: of each panel [pairs][64 keys][2]; behind them values:
// [keys / 2][columns * 16][2]. 0 behind the last key and element. A head counts
// as a multiple of `step` elements.
struct Packed {
  Packed(const AttentionBf16Args& args, const void* packed, int64_t step)
      : pairs((args.head_dim + step - 1) / step * step / 2),
        columns((2 * pairs + kLanes - 1) / kLanes) {
    keys = static_cast<const uint32_t*>(packed);
    values = keys + attention_panels(args.keys) * kAttentionPanel * pairs;
  }
  const uint32_t* key_panel(int64_t panel) const {
    return keys + panel * kAttentionPanel * pairs;
  }
  const uint32_t* value_pair(int64_t key) const {
    return values + key / 2 * columns * kLanes;
  }
  int64_t pairs;    // of elements of a head
  int64_t columns;  // vectors of a head
  const uint32_t* keys;
  const uint32_t* values;
};

inline __mmask16 first_lanes(int64_t count) {
  if (count >= kLanes) return 0xffff;
  return count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

inline const uint16_t* row_of(const uint16_t* data,
                              const AttentionStrides& strides,
                              const AttentionHead& head,
                              int64_t position) {
  return data + head.batch * strides.batch + head.head * strides.head +
         position * strides.position;
}

// A pair of elements of each of 16 keys a vector; `pairs` of them.
inline void pack_keys(const AttentionBf16Args& args,
                      const AttentionHead& head,
                      int64_t first,
                      int64_t pairs,
                      uint32_t* to) {
  const __mmask16 there = first_lanes(args.keys - first);
  const auto step = static_cast<long long>(args.k_strides.position * 2);
  const __m512i low = _mm512_mullo_epi64(
      _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_set1_epi64(step));
  const __m512i high = _mm512_add_epi64(low, _mm512_set1_epi64(8 * step));
  const uint16_t* row = row_of(args.k, args.k_strides, head, first);
  for (int64_t d = 0; d < args.head_dim; d += 2, to += kAttentionPanel) {
    const __m256i a = _mm512_mask_i64gather_epi32(
        _mm256_setzero_si256(), static_cast<__mmask8>(there), low, row + d, 1);
    const __m256i b =
        _mm512_mask_i64gather_epi32(_mm256_setzero_si256(),
                                    static_cast<__mmask8>(there >> 8),
                                    high,
                                    row + d,
                                    1);
    _mm512_store_si512(to, _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1));
  }
  for (int64_t p = args.head_dim / 2; p < pairs; ++p, to += kAttentionPanel) {
    _mm512_store_si512(to, _mm512_setzero_si512());
  }
}

// The elements of two keys, one of each beside the other, in `columns` vectors.
inline void pack_values(const AttentionBf16Args& args,
                        const AttentionHead& head,
                        int64_t key,
                        int64_t columns,
                        uint32_t* to) {
  for (int64_t d = 0; d < columns * kLanes; d += kLanes, to += kLanes) {
    const __mmask16 there = first_lanes(args.head_dim - d);
    const auto load = [&](int64_t j) {
      return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(
          j < args.keys ? there : 0,
          row_of(args.v, args.v_strides, head, j < args.keys ? j : 0) + d));
    };
    _mm512_store_si512(
        to, _mm512_or_si512(load(key), _mm512_slli_epi32(load(key + 1), 16)));
  }
}

// Panels [begin, end).
inline void pack_panels(const AttentionBf16Args& args,
                        const AttentionHead& head,
                        int64_t begin,
                        int64_t end,
                        const Packed& packed) {
  // A copy: the stores could change what a reference names.
  const Packed at = packed;
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t first = panel * kAttentionPanel;
    auto* keys = const_cast<uint32_t*>(at.key_panel(panel));
    for (int64_t c = 0; c < kVectors; ++c) {
      pack_keys(args, head, first + c * kLanes, at.pairs, keys + c * kLanes);
    }
    for (int64_t j = first; j < first + kAttentionPanel; j += 2) {
      pack_values(
          args, head, j, at.columns, const_cast<uint32_t*>(at.value_pair(j)));
    }
  }
}

inline __m512 products(__m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(
      sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// 2^x; 0 below kExp2Least.
inline __m512 power_of_two(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
  const __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(kExp2Polynomial[4]);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2Polynomial[3]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2Polynomial[2]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2Polynomial[1]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2Polynomial[0]));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __mmask16 there =
      _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExp2Least), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(there, p, n);
}

// cap * tanh(s / cap), within some 2^-22 of cap.
inline __m512 capped(__m512 s, float cap) {
  const __m512 e =
      power_of_two(_mm512_mul_ps(s, _mm512_set1_ps(2 * kLog2E / cap)));
  const __m512 one = _mm512_set1_ps(1.0f);
  return _mm512_mul_ps(
      _mm512_set1_ps(cap),
      _mm512_sub_ps(
          one, _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(e, one))));
}

// Up to kR queries of one head and what they have found so far. What stands in
// for those that are not there is 0.
template <int kR>
struct Tile {
  Tile(const AttentionBf16Args& of,
       const Packed& head,
       int64_t first,
       int count)
      : args(of),
        packed(head),
        position(of.keys - of.queries + first),
        rows(count) {}

  const AttentionBf16Args& args;
  const Packed& packed;
  int64_t position;  // of the first query
  int rows;
  float most[kR];                                          // times log2(e)
  __m512 total[kR];                                        // of the weights
  alignas(64) uint32_t q[kR * kAttentionBf16HeadDim / 2];  // [kR][pairs]
  alignas(64) float out[kR * kAttentionBf16HeadDim];       // sums so far
  alignas(64) float scores[kR * kBlock];
  alignas(64) uint16_t weights[kR * kBlock];

  void take_queries(const AttentionHead& head, int64_t first) {
    for (int r = 0; r < rows; ++r) {
      const float* from = args.q + head.batch * args.q_strides.batch +
                          head.head * args.q_strides.head +
                          (first + r) * args.q_strides.position;
      auto* to = reinterpret_cast<uint16_t*>(q + r * packed.pairs);
      const int64_t whole = 2 * packed.pairs;
      for (int64_t d = 0; d < whole; d += kLanes) {
        const __m256bh narrow = _mm512_cvtneps_pbh(
            _mm512_maskz_loadu_ps(first_lanes(args.head_dim - d), from + d));
        _mm256_mask_storeu_epi16(
            to + d, first_lanes(whole - d), reinterpret_cast<__m256i>(narrow));
      }
      most[r] = -INFINITY;
      total[r] = _mm512_setzero_ps();
    }
    for (int r = rows; r < kR; ++r) {
      memset(q + r * packed.pairs, 0, sizeof(*q) * packed.pairs);
      memset(weights + r * kBlock, 0, sizeof(*weights) * kBlock);
    }
    memset(out, 0, sizeof(float) * kR * packed.columns * kLanes);
  }

  // Keys of a block, from `begin` on, before the first that a query sees.
  int64_t unseen(int64_t begin) const {
    const int64_t first = first_seen(args, position) - begin;
    return first > 0 ? first : 0;
  }

  // Sums of 16 keys as what a power of two is taken of, over `step`.
  __m512 score(const float* sums) const {
    const __m512 sum = _mm512_load_ps(sums);
    return args.cap > 0 ? capped(_mm512_mul_ps(sum, _mm512_set1_ps(args.scale)),
                                 args.cap)
                        : sum;
  }
  float step() const { return (args.cap > 0 ? 1.0f : args.scale) * kLog2E; }

  // Scores of a row of a block in place of its sums, -infinity where it sees no
  // key; the largest.
  float finish_scores(int r, int64_t begin, int64_t count, int64_t whole) {
    float* row = scores + r * kBlock;
    const int64_t first = first_seen(args, position + r) - begin;
    const int64_t end = position + r + 1 - begin;
    const __m512 none = _mm512_set1_ps(-INFINITY);
    __m512 largest = none;
    int64_t j = 0;
    if (args.cap <= 0) {
      // Sums are scores already where all of them are seen.
      const int64_t seen = end < count ? end : count;
      for (; first <= 0 && j + kLanes <= seen; j += kLanes) {
        largest = _mm512_max_ps(largest, _mm512_load_ps(row + j));
      }
    }
    for (; j < count; j += kLanes) {
      __m512 s = score(row + j);
      if (j < first || j + kLanes > end) {
        const auto before = static_cast<__mmask16>(~first_lanes(first - j));
        s = _mm512_mask_mov_ps(none, first_lanes(end - j) & before, s);
      }
      _mm512_store_ps(row + j, s);
      largest = _mm512_max_ps(largest, s);
    }
    for (; j < whole; j += kLanes) _mm512_store_ps(row + j, none);
    return _mm512_reduce_max_ps(largest);
  }

  // Weights of a block from its scores; how much the sums so far count.
  void soften(int64_t begin, int64_t count, float (&factor)[kR]) {
    const __m512i ones = _mm512_set1_epi32(0x3f803f80);
    const __m512 by = _mm512_set1_ps(step());
    // Pairs of vectors are weighed together.
    const int64_t whole = (count + 2 * kLanes - 1) / (2 * kLanes) * 2 * kLanes;
    for (int r = 0; r < rows; ++r) {
      const float found = finish_scores(r, begin, count, whole) * step();
      const float* row = scores + r * kBlock;
      const float now = found > most[r] ? found : most[r];
      // Where nothing was seen nothing counts.
      const __m512 shift = _mm512_set1_ps(now == -INFINITY ? 0.0f : now);
      const auto weight = [&](int64_t j) {
        return power_of_two(
            _mm512_fmsub_ps(_mm512_load_ps(row + j), by, shift));
      };
      const __m512 old =
          power_of_two(_mm512_sub_ps(_mm512_set1_ps(most[r]), shift));
      factor[r] = _mm512_cvtss_f32(old);
      most[r] = now;
      __m512 sum = _mm512_mul_ps(total[r], old);
      for (int64_t j = 0; j < whole; j += 2 * kLanes) {
        const auto both = reinterpret_cast<__m512i>(
            _mm512_cvtne2ps_pbh(weight(j + kLanes), weight(j)));
        sum = products(sum, both, ones);
        _mm512_store_si512(weights + r * kBlock + j, both);
      }
      total[r] = sum;
    }
  }

  void put(const AttentionHead& head, int64_t first) const {
    const int64_t stride = packed.columns * kLanes;
    for (int r = 0; r < rows; ++r) {
      float* to = args.out + head.batch * args.out_strides.batch +
                  head.head * args.out_strides.head +
                  (first + r) * args.out_strides.position;
      const __m512 by = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(total[r]));
      for (int64_t d = 0; d < args.head_dim; d += kLanes) {
        _mm512_mask_storeu_ps(
            to + d,
            first_lanes(args.head_dim - d),
            _mm512_mul_ps(_mm512_load_ps(out + r * stride + d), by));
      }
    }
  }
};

// `rows` queries from `first` on; `by` multiplies with keys and values.
template <int kR, class Products>
void attend_tile(Products& by,
                 const AttentionBf16Args& args,
                 const AttentionHead& head,
                 int64_t first,
                 int rows,
                 const Packed& packed) {
  Tile<kR> tile(args, packed, first, rows);
  tile.take_queries(head, first);
  const int64_t end = tile.position + rows;
  int64_t j = first_seen(args, tile.position);
  for (j -= j % kAttentionPanel; j < end; j += kBlock) {
    const int64_t count = end - j < kBlock ? end - j : kBlock;
    float factor[kR];
    by.dot(tile, j, count);
    tile.soften(j, count, factor);
    by.weigh(tile, j, count, factor);
  }
  tile.put(head, first);
}

}  // namespace
}  // namespace mantissa::kernels
