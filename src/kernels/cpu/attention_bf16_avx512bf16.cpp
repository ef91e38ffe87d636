#include "kernels/cpu/attention_bf16_loops.h"

// A vector of sums is 16 keys, or 16 elements of the head, for one query.
namespace mantissa::kernels {
namespace {

constexpr int64_t kStep = 2;  // elements of a head multiplied at a time
constexpr int kRows = kAttentionVectorTile;

// Keeps GCC from copying sums between registers.
inline void pin(__m512& sum) { __asm__("" : "+v"(sum)); }

// sums[kR][kBlock] of products of pairs of `q` [kR][pairs] with kC vectors of a
// panel.
template <int kR, int kC>
inline void multiply_keys(const uint32_t* q,
                          const uint32_t* panel,
                          int64_t pairs,
                          float* sums) {
  __m512 sum[kR][kC];
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) sum[r][c] = _mm512_setzero_ps();
  }
  for (int64_t p = 0; p < pairs; ++p, panel += kAttentionPanel) {
    __m512i keys[kC];
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) {
      keys[c] = _mm512_load_si512(panel + c * kLanes);
    }
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      const __m512i row =
          _mm512_set1_epi32(static_cast<int32_t>(q[r * pairs + p]));
#pragma GCC unroll 4
      for (int c = 0; c < kC; ++c) {
        sum[r][c] = products(sum[r][c], row, keys[c]);
        pin(sum[r][c]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) {
      _mm512_store_ps(sums + r * kBlock + c * kLanes, sum[r][c]);
    }
  }
}

// out[kR][stride], kC vectors of it, times `factor` of the row plus the
// weighted values of `pairs` pairs of keys.
template <int kR, int kC>
inline void multiply_values(const uint16_t* weights,
                            const uint32_t* values,
                            int64_t pairs,
                            int64_t stride,
                            const float* factor,
                            float* out) {
  __m512 sum[kR][kC];
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
    const __m512 by = _mm512_set1_ps(factor[r]);
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) {
      sum[r][c] =
          _mm512_mul_ps(_mm512_load_ps(out + r * stride + c * kLanes), by);
    }
  }
  for (int64_t p = 0; p < pairs; ++p, values += stride, weights += 2) {
    __m512i of[kC];
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) {
      of[c] = _mm512_load_si512(values + c * kLanes);
    }
#pragma GCC unroll 6
    for (int r = 0; r < kR; ++r) {
      int32_t two;
      memcpy(&two, weights + r * kBlock, sizeof(two));
      const __m512i row = _mm512_set1_epi32(two);
#pragma GCC unroll 4
      for (int c = 0; c < kC; ++c) {
        sum[r][c] = products(sum[r][c], row, of[c]);
        pin(sum[r][c]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kR; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kC; ++c) {
      _mm512_store_ps(out + r * stride + c * kLanes, sum[r][c]);
    }
  }
}

struct VectorProducts {
  // Products of the queries with keys [begin, begin + count).
  template <int kR>
  static void dot(Tile<kR>& tile, int64_t begin, int64_t count) {
    const int64_t pairs = tile.packed.pairs;
    for (int64_t j = 0; j < count; j += kAttentionPanel) {
      const uint32_t* panel =
          tile.packed.key_panel((begin + j) / kAttentionPanel);
      float* sums = tile.scores + j;
      switch ((count - j + kLanes - 1) / kLanes) {
        case 1:
          multiply_keys<kR, 1>(tile.q, panel, pairs, sums);
          break;
        case 2:
          multiply_keys<kR, 2>(tile.q, panel, pairs, sums);
          break;
        case 3:
          multiply_keys<kR, 3>(tile.q, panel, pairs, sums);
          break;
        default:
          multiply_keys<kR, 4>(tile.q, panel, pairs, sums);
      }
    }
  }

  // The sums so far times their factors plus the weighted values.
  template <int kR>
  static void weigh(Tile<kR>& tile,
                    int64_t begin,
                    int64_t count,
                    const float (&factor)[kR]) {
    const int64_t columns = tile.packed.columns;
    const int64_t stride = columns * kLanes;
    const int64_t first = tile.unseen(begin) / 2;
    const int64_t pairs = (count + 1) / 2 - first;
    const uint16_t* weights = tile.weights + 2 * first;
    const uint32_t* values = tile.packed.value_pair(begin) + first * stride;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      multiply_values<kR, 4>(weights,
                             values + c * kLanes,
                             pairs,
                             stride,
                             factor,
                             tile.out + c * kLanes);
    }
    for (; c < columns; ++c) {
      multiply_values<kR, 1>(weights,
                             values + c * kLanes,
                             pairs,
                             stride,
                             factor,
                             tile.out + c * kLanes);
    }
  }
};

}  // namespace

void pack_attention_bf16_avx512bf16(const AttentionBf16Args& args,
                                    const AttentionHead& kv_head,
                                    int64_t begin,
                                    int64_t end,
                                    void* packed) {
  pack_panels(args, kv_head, begin, end, Packed(args, packed, kStep));
}

void attend_bf16_avx512bf16(const AttentionBf16Args& args,
                            const AttentionHead& head,
                            int64_t begin,
                            int64_t end,
                            const void* packed) {
  const Packed at(args, packed, kStep);
  VectorProducts by;
  int64_t i = begin;
  for (; i + kRows <= end; i += kRows) {
    attend_tile<kRows>(by, args, head, i, kRows, at);
  }
  for (; i + 3 <= end; i += 3) attend_tile<3>(by, args, head, i, 3, at);
  for (; i < end; ++i) attend_tile<1>(by, args, head, i, 1, at);
}

}  // namespace mantissa::kernels
