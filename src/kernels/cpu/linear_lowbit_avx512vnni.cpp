#include <immintrin.h>

#include "kernels/cpu/lowbit_segments.h"

namespace mantissa::kernels {
namespace {

// Codes are the unsigned operand of vpdpbusd, activations the signed one: exact
// sums, no saturation.

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;
constexpr int64_t kBlock = 512;  // values of K in the unpacked buffer
constexpr int64_t kRows = 256;   // rows with partial sums in the workspace
constexpr int kPair = 2;         // tiles side by side in a block

inline __m512i load(const void* p) { return _mm512_loadu_si512(p); }

template <int kWidth>
inline __m512i plane_unit(const uint8_t* plane, int u) {
  constexpr int kEach = 8 / kWidth;
  const __m512i row = load(plane + u / kEach * kUnitBytes);
  return _mm512_and_si512(_mm512_srli_epi16(row, u % kEach * kWidth),
                          _mm512_set1_epi8((1 << kWidth) - 1));
}

// Unit `u` of a chunk: the codes of 16 columns, 4 values each.
template <int kBits>
inline __m512i unit(const uint8_t* chunk, int u) {
  if constexpr (kBits == 8) {
    return load(chunk + u * kUnitBytes);
  } else if constexpr (kBits > 4) {
    return _mm512_or_si512(
        plane_unit<4>(chunk, u),
        _mm512_slli_epi16(unit<kBits - 4>(chunk + 4 * kUnitBytes, u), 4));
  } else if constexpr (kBits == 3) {
    return _mm512_or_si512(
        plane_unit<2>(chunk, u),
        _mm512_slli_epi16(plane_unit<1>(chunk + 2 * kUnitBytes, u), 2));
  } else {
    return plane_unit<kBits>(chunk, u);
  }
}

// Keeps GCC from copying sums between registers.
inline void pin(__m512i& sum) { __asm__("" : "+v"(sum)); }

inline __m512i broadcast(const int8_t* four) {
  return _mm512_set1_epi32(load_i32(four));
}

inline __m512 scales_of(const LowbitWeightView& w, int64_t at) {
  if (w.scale_type == LowbitScale::F32) {
    return _mm512_loadu_ps(static_cast<const float*>(w.scales) + at);
  }
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(
      static_cast<const uint16_t*>(w.scales) + at));
  if (w.scale_type == LowbitScale::F16) return _mm512_cvtph_ps(half);
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

// zero + 2^(bits-1) of 16 columns.
inline __m512i zeros_of(const LowbitWeightView& w, int64_t at) {
  const __m512i offset = _mm512_set1_epi32(1 << (w.bits - 1));
  if (w.zeros == nullptr) return offset;
  return _mm512_add_epi32(_mm512_cvtepi8_epi32(_mm_loadu_si128(
                              reinterpret_cast<const __m128i*>(w.zeros + at))),
                          offset);
}

// -(sum of x) * (zero + 2^(bits-1)) of 16 columns: what a sum begins with.
inline __m512i start(const LowbitWeightView& w, int64_t at, int32_t sum) {
  if (w.zeros == nullptr) {
    return _mm512_set1_epi32(-sum * (1 << (w.bits - 1)));
  }
  return _mm512_mullo_epi32(zeros_of(w, at), _mm512_set1_epi32(-sum));
}

inline __mmask16 columns_at(int64_t n, int64_t j) {
  const int64_t left = n - j;
  if (left >= 16) return 0xffff;
  return static_cast<__mmask16>(left <= 0 ? 0 : (1u << left) - 1);
}

// acc [16 columns] of a row, columns j ..: scaled, shifted, stored.
inline void finish(const LinearLowbitArgs& args,
                   int64_t panel,
                   int64_t row,
                   int64_t j,
                   __m512 acc) {
  const LowbitActivations& x = args.x;
  const int64_t i = panel * x.panel + row;
  const __mmask16 mask = columns_at(args.w.n, j);
  if (i >= x.m || mask == 0) return;
  if (x.group == 0) {
    if (x.zeros != nullptr) {
      acc = _mm512_fnmadd_ps(
          _mm512_set1_ps(x.zeros[i]), _mm512_loadu_ps(args.w.sums + j), acc);
    }
    const __m512 scale = _mm512_set1_ps(x.scales[i]);
    acc = args.bias != nullptr
              ? _mm512_fmadd_ps(
                    acc, scale, _mm512_maskz_loadu_ps(mask, args.bias + j))
              : _mm512_mul_ps(acc, scale);
  } else if (args.bias != nullptr) {
    acc = _mm512_add_ps(acc, _mm512_maskz_loadu_ps(mask, args.bias + j));
  }
  _mm512_mask_storeu_ps(args.y + i * args.y_stride + j, mask, acc);
}

// One tile against a panel of kRowsOf rows: weights stay in registers.
template <int kBits, int kRowsOf>
void rows_by_tile(const LinearLowbitArgs& args,
                  const LowbitWalk& walk,
                  int64_t tile) {
  constexpr int kChains = kRowsOf == 1 ? 4 : kRowsOf == 2 ? 2 : 1;
  const LowbitWeightView& w = args.w;
  const LowbitActivations& x = args.x;
  const uint8_t* chunk = w.codes + tile * walk.chunks * kBits * kUnitBytes;
  const int8_t* codes = x.codes;
  __m512 acc[kRowsOf];
  for (__m512& row : acc) row = _mm512_setzero_ps();
  for (int64_t k = 0; k < w.k;) {
    const int64_t end = walk.end(k);
    const int64_t at = (tile * walk.groups + walk.group(k)) * kLowbitTile;
    __m512i sum[kRowsOf][kChains];
    for (int r = 0; r < kRowsOf; ++r) {
      sum[r][0] = start(w, at, code_sum(x, 0, r, k, end));
      for (int c = 1; c < kChains; ++c) sum[r][c] = _mm512_setzero_si512();
    }
    for (int64_t c = k; c < end; c += kLowbitChunk) {
#pragma GCC unroll 8
      for (int line = 0; line < kBits; ++line) {
        _mm_prefetch(reinterpret_cast<const char*>(chunk + 4096 + line * 64),
                     _MM_HINT_T0);
      }
#pragma GCC unroll 8
      for (int u = 0; u < kUnits; ++u) {
        const __m512i codes_of = unit<kBits>(chunk, u);
#pragma GCC unroll 4
        for (int r = 0; r < kRowsOf; ++r) {
          __m512i& to = sum[r][u % kChains];
          to = _mm512_dpbusd_epi32(
              to, codes_of, broadcast(codes + (u * kRowsOf + r) * 4));
          pin(to);
        }
      }
      chunk += kBits * kUnitBytes;
      codes += kLowbitChunk * kRowsOf;
    }
    const __m512 scale = scales_of(w, at);
    for (int r = 0; r < kRowsOf; ++r) {
      __m512i total = sum[r][0];
      for (int c = 1; c < kChains; ++c) {
        total = _mm512_add_epi32(total, sum[r][c]);
      }
      const __m512 s =
          x.group == 0
              ? scale
              : _mm512_mul_ps(
                    scale,
                    _mm512_set1_ps(x.scales[walk.x_group(k) * kRowsOf + r]));
      acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), s, acc[r]);
    }
    k = end;
  }
  for (int r = 0; r < kRowsOf; ++r) {
    finish(args, 0, r, tile * kLowbitTile, acc[r]);
  }
}

// Unpacked codes of two tiles and kBlock values of K, and the partial sums of
// kRows rows.
struct Workspace {
  uint8_t codes[kPair][kBlock / 4 * kUnitBytes];
  float acc[kRows][kPair][kLowbitTile];
  int32_t sum[kRows][kPair][kLowbitTile];  // of a segment longer than kBlock
  // Of the segments of a block.
  float scales[kBlock / kLowbitChunk][kPair][kLowbitTile];
  int32_t zeros[kBlock / kLowbitChunk][kPair][kLowbitTile];
};
static_assert(sizeof(Workspace) <= kLowbitWorkspace);

template <int kBits>
void unpack(const uint8_t* chunk, int64_t chunks, uint8_t* to) {
  for (int64_t c = 0; c < chunks; ++c) {
#pragma GCC unroll 8
    for (int u = 0; u < kUnits; ++u) {
      _mm512_storeu_si512(to + u * kUnitBytes, unit<kBits>(chunk, u));
    }
    to += kUnits * kUnitBytes;
    chunk += kBits * kUnitBytes;
  }
}

// 8 rows times kTiles tiles over some units of 4 values of K. The next panel's
// part, `ahead` bytes away in another page, is fetched meanwhile.
template <int kTiles>
inline void eight_rows(const uint8_t* w0,
                       const uint8_t* w1,
                       const int8_t* x,
                       int64_t ahead,
                       int64_t units,
                       __m512i (&sum)[8][kPair]) {
  for (int64_t u = 0; u < units; ++u) {
    _mm_prefetch(reinterpret_cast<const char*>(x + ahead), _MM_HINT_T0);
    const __m512i a = load(w0);
    const __m512i b = kTiles == 2 ? load(w1) : a;
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      const __m512i four = broadcast(x + r * 4);
      sum[r][0] = _mm512_dpbusd_epi32(sum[r][0], a, four);
      pin(sum[r][0]);
      if constexpr (kTiles == 2) {
        sum[r][1] = _mm512_dpbusd_epi32(sum[r][1], b, four);
        pin(sum[r][1]);
      }
    }
    w0 += kUnitBytes;
    w1 += kUnitBytes;
    x += 32;
  }
}

struct Block {
  int64_t tile;
  int64_t begin;  // of K
  int64_t end;
  const uint8_t* codes[kPair];  // units of the tiles at `begin`
};

// Scales and zero points of the block's segments as the loops take them.
template <int kTiles>
void read_metadata(const LowbitWeightView& w,
                   const LowbitWalk& walk,
                   const Block& block,
                   Workspace& space) {
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    for (int t = 0; t < kTiles; ++t) {
      const int64_t at =
          ((block.tile + t) * walk.groups + walk.group(k)) * kLowbitTile;
      _mm512_storeu_ps(space.scales[segment][t], scales_of(w, at));
      _mm512_storeu_si512(space.zeros[segment][t], zeros_of(w, at));
    }
    k = walk.end(k);
  }
}

// One panel of 8 rows against an unpacked block of K; `slot` is its place in
// the workspace.
template <int kTiles, bool kZeros>
void block_panel(const LinearLowbitArgs& args,
                 const LowbitWalk& shared_walk,
                 const Block& shared_block,
                 int64_t panel,
                 int64_t slot,
                 Workspace& space) {
  // Copies: the stores below could change what a reference names.
  const LowbitWalk walk = shared_walk;
  const Block block = shared_block;
  const LowbitActivations x = args.x;
  const int32_t offset = 1 << (args.w.bits - 1);
  const float* x_scales = x.scales + panel * walk.x_groups * 8;
  int64_t segment = 0;
  for (int64_t k = block.begin; k < block.end; ++segment) {
    const int64_t last = walk.end(k);
    const int64_t stop = least(last, block.end);
    __m512i sum[8][kPair];
    if (k == walk.begin(k)) {
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const int32_t total = -code_sum(x, panel, r, k, last);
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          sum[r][t] = kZeros ? _mm512_mullo_epi32(load(space.zeros[segment][t]),
                                                  _mm512_set1_epi32(total))
                             : _mm512_set1_epi32(offset * total);
        }
      }
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          sum[r][t] = load(space.sum[slot + r][t]);
        }
      }
    }
    const int64_t from = (k - block.begin) / 4 * kUnitBytes;
    eight_rows<kTiles>(block.codes[0] + from,
                       block.codes[kTiles - 1] + from,
                       x.codes + (panel * x.k + k) * 8,
                       x.k * 8,
                       (stop - k) / 4,
                       sum);
    if (stop < last) {
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
#pragma GCC unroll 2
        for (int t = 0; t < kTiles; ++t) {
          _mm512_storeu_si512(space.sum[slot + r][t], sum[r][t]);
        }
      }
      return;
    }
    const float* of_x = x_scales + walk.x_group(k) * 8;
#pragma GCC unroll 2
    for (int t = 0; t < kTiles; ++t) {
      const __m512 scale = _mm512_loadu_ps(space.scales[segment][t]);
#pragma GCC unroll 8
      for (int r = 0; r < 8; ++r) {
        const __m512 by = x.group == 0
                              ? scale
                              : _mm512_mul_ps(scale, _mm512_set1_ps(of_x[r]));
        float* acc = space.acc[slot + r][t];
        _mm512_storeu_ps(
            acc,
            _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(sum[r][t]), by, _mm512_loadu_ps(acc)));
      }
    }
    k = stop;
  }
}

// kTiles tiles against panels of 8 rows.
template <int kBits, int kTiles>
void panels_by_tiles(const LinearLowbitArgs& args,
                     const LowbitWalk& walk,
                     int64_t tile,
                     Workspace& space) {
  const LowbitActivations& x = args.x;
  const int64_t panels = (x.m + 7) / 8;
  for (int64_t p0 = 0; p0 < panels; p0 += kRows / 8) {
    const int64_t p1 = least(p0 + kRows / 8, panels);
    memset(space.acc,
           0,
           static_cast<size_t>((p1 - p0) * 8) * sizeof(space.acc[0]));
    for (int64_t k = 0; k < args.w.k; k += kBlock) {
      Block block = {tile, k, least(k + kBlock, args.w.k), {}};
      for (int t = 0; t < kTiles; ++t) {
        const uint8_t* chunk =
            args.w.codes +
            ((tile + t) * walk.chunks + k / kLowbitChunk) * kBits * kUnitBytes;
        block.codes[t] = kBits == 8 ? chunk : space.codes[t];
        if constexpr (kBits < 8) {
          unpack<kBits>(chunk, (block.end - k) / kLowbitChunk, space.codes[t]);
        }
      }
      read_metadata<kTiles>(args.w, walk, block, space);
      const auto run_panel = args.w.zeros != nullptr
                                 ? block_panel<kTiles, true>
                                 : block_panel<kTiles, false>;
      for (int64_t p = p0; p < p1; ++p) {
        run_panel(args, walk, block, p, (p - p0) * 8, space);
      }
    }
    for (int64_t p = p0; p < p1; ++p) {
      for (int64_t row = 0; row < 8; ++row) {
        for (int t = 0; t < kTiles; ++t) {
          finish(args,
                 p,
                 row,
                 (tile + t) * kLowbitTile,
                 _mm512_loadu_ps(space.acc[(p - p0) * 8 + row][t]));
        }
      }
    }
  }
}

template <int kBits>
void run(const LinearLowbitArgs& args, const LinearLowbitTiles& tiles) {
  const LowbitWalk walk(args);
  auto& space = *static_cast<Workspace*>(tiles.workspace);
  for (int64_t tile = tiles.begin; tile < tiles.end;) {
    switch (args.x.panel) {
      case 1:
        rows_by_tile<kBits, 1>(args, walk, tile++);
        break;
      case 2:
        rows_by_tile<kBits, 2>(args, walk, tile++);
        break;
      case 4:
        rows_by_tile<kBits, 4>(args, walk, tile++);
        break;
      default:
        if (tile + 1 < tiles.end) {
          panels_by_tiles<kBits, 2>(args, walk, tile, space);
          tile += 2;
        } else {
          panels_by_tiles<kBits, 1>(args, walk, tile++, space);
        }
    }
  }
}

}  // namespace

void run_linear_lowbit_avx512vnni(const LinearLowbitArgs& args,
                                  const LinearLowbitTiles& tiles) {
  switch (args.w.bits) {
    case 1:
      return run<1>(args, tiles);
    case 2:
      return run<2>(args, tiles);
    case 3:
      return run<3>(args, tiles);
    case 4:
      return run<4>(args, tiles);
    case 5:
      return run<5>(args, tiles);
    case 6:
      return run<6>(args, tiles);
    case 7:
      return run<7>(args, tiles);
    default:
      return run<8>(args, tiles);
  }
}

}  // namespace mantissa::kernels
