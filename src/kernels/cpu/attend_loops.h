#pragma once

// Attention of a decoded token over a cache of any type: a tile of positions
// becomes float32 in the first-level cache, then serves every head that shares
// it. Only C headers here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/generic_lanes.h"
#include "kernels/decode_ops_args.h"

namespace mantissa::kernels {
namespace {

// Each lane takes four codes and shifts its own to the top: GCC 12 converts
// vectors of bytes one by one.
inline Floats load_codes(const int8_t* p) {
  int32_t words[2];
  memcpy(words, p, sizeof(words));
  const Ints four = __builtin_shufflevector(
      Ints{} + words[0], Ints{} + words[1], 0, 0, 0, 0, 8, 8, 8, 8);
  const Ints up = {24, 16, 8, 0, 24, 16, 8, 0};
  return __builtin_convertvector((four << up) >> 24, Floats);
}

inline int64_t row_bytes(CacheType cache, int64_t head_dim) {
  if (cache == CacheType::I8) return head_dim;
  return head_dim * (cache == CacheType::Bf16 ? 2 : 4);
}

template <CacheType kCache>
inline void widen_row(const void* row, int64_t head_dim, float* out) {
  int64_t d = 0;
  for (; d + kLanes <= head_dim; d += kLanes) {
    if constexpr (kCache == CacheType::F32) {
      store(out + d, load(static_cast<const float*>(row) + d));
    } else if constexpr (kCache == CacheType::Bf16) {
      store(out + d, load_bf16(static_cast<const uint16_t*>(row) + d));
    } else {
      store(out + d, load_codes(static_cast<const int8_t*>(row) + d));
    }
  }
  if (d == head_dim) return;
  uint8_t rest[kLanes * sizeof(float)] = {};
  const auto* bytes = static_cast<const uint8_t*>(row);
  memcpy(rest,
         bytes + row_bytes(kCache, d),
         static_cast<size_t>(row_bytes(kCache, head_dim - d)));
  if constexpr (kCache == CacheType::F32) {
    memcpy(out + d, rest, sizeof(rest));
  } else if constexpr (kCache == CacheType::Bf16) {
    uint16_t halves[kLanes];
    memcpy(halves, rest, sizeof(halves));
    store(out + d, load_bf16(halves));
  } else {
    int8_t codes[kLanes];
    memcpy(codes, rest, sizeof(codes));
    store(out + d, load_codes(codes));
  }
}

// Rows [begin, begin + count) in float32 (of I8: the codes), padded to whole
// vectors: where they lie if that is what they are, else in `tile`.
inline const float* tile_of(const AttendOneArgs& args,
                            const void* rows,
                            int64_t begin,
                            int64_t count,
                            float* tile) {
  const int64_t dim = args.head_dim;
  const int64_t stride = attend_stride(dim);
  const int64_t bytes = row_bytes(args.cache, dim);
  const auto* row = static_cast<const uint8_t*>(rows) + begin * bytes;
  if (args.cache == CacheType::F32 && stride == dim) {
    return static_cast<const float*>(rows) + begin * dim;
  }
  for (int64_t j = 0; j < count; ++j, row += bytes) {
    float* out = tile + j * stride;
    if (args.cache == CacheType::F32) {
      widen_row<CacheType::F32>(row, dim, out);
    } else if (args.cache == CacheType::Bf16) {
      widen_row<CacheType::Bf16>(row, dim, out);
    } else {
      widen_row<CacheType::I8>(row, dim, out);
    }
  }
  return tile;
}

// The sums of four vectors' lanes, halves added to halves.
inline void sum_each(const Floats* v, float* out) {
  const Floats a =
      __builtin_shufflevector(v[0], v[1], 0, 1, 2, 3, 8, 9, 10, 11) +
      __builtin_shufflevector(v[0], v[1], 4, 5, 6, 7, 12, 13, 14, 15);
  const Floats b =
      __builtin_shufflevector(v[2], v[3], 0, 1, 2, 3, 8, 9, 10, 11) +
      __builtin_shufflevector(v[2], v[3], 4, 5, 6, 7, 12, 13, 14, 15);
  // Lanes of v[0], v[2], then v[1], v[3].
  const Floats c = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
                   __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  const Floats d = c + __builtin_shufflevector(c, c, 1, 0, 3, 2, 5, 4, 7, 6);
  out[0] = d[0];
  out[1] = d[4];
  out[2] = d[2];
  out[3] = d[6];
}

constexpr int kRows = 4;

// Products of kHeads queries with four keys into scores of kAttendBlock a head.
template <int kHeads>
inline void dot_rows(const float* q,
                     const float* keys,
                     int64_t stride,
                     float* scores) {
  Floats sums[kHeads][kRows] = {};
  for (int64_t d = 0; d < stride; d += kLanes) {
    Floats of[kHeads];
    for (int h = 0; h < kHeads; ++h) of[h] = load(q + h * stride + d);
    for (int r = 0; r < kRows; ++r) {
      const Floats key = load(keys + r * stride + d);
      for (int h = 0; h < kHeads; ++h) sums[h][r] += of[h] * key;
    }
  }
  for (int h = 0; h < kHeads; ++h) sum_each(sums[h], scores + h * kAttendBlock);
}

inline float dot_row(const float* q, const float* key, int64_t stride) {
  Floats total = {};
  for (int64_t d = 0; d < stride; d += kLanes) {
    total += load(q + d) * load(key + d);
  }
  return sum(total);
}

template <int kHeads>
inline void dot_tile(const float* q,
                     const float* keys,
                     int64_t stride,
                     int64_t count,
                     float* scores) {
  int64_t j = 0;
  for (; j + kRows <= count; j += kRows) {
    dot_rows<kHeads>(q, keys + j * stride, stride, scores + j);
  }
  for (; j < count; ++j) {
    for (int h = 0; h < kHeads; ++h) {
      scores[h * kAttendBlock + j] =
          dot_row(q + h * stride, keys + j * stride, stride);
    }
  }
}

// scores[j] *= factor * scales[j]; `scales` may be null.
inline void scale_scores(float* scores,
                         int64_t count,
                         float factor,
                         const float* scales) {
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    Floats s = load(scores + j) * factor;
    if (scales != nullptr) s *= load(scales + j);
    store(scores + j, s);
  }
  for (; j < count; ++j) {
    scores[j] *= factor;
    if (scales != nullptr) scores[j] *= scales[j];
  }
}

// Sums of products become scores, then exp(score - most), in place, times the
// scales of the values at last; `part` gets `most` and the sum of exp.
inline void soften_block(const AttendOneArgs& args,
                         float* scores,
                         float* part) {
  const int64_t count = args.count;
  const bool coded = args.cache == CacheType::I8;
  scale_scores(scores, count, args.scale, coded ? args.key_scales : nullptr);
  if (args.cap > 0) {
    for (int64_t j = 0; j < count; ++j) {
      scores[j] = tanhf(scores[j] / args.cap) * args.cap;
    }
  }
  // Lanes behind the end add nothing.
  for (int64_t j = count; j % kLanes != 0; ++j) scores[j] = -INFINITY;
  // NaN stays in the scores and spoils the sum.
  Floats most = splat(-INFINITY);
  for (int64_t j = 0; j < count; j += kLanes) {
    const Floats s = load(scores + j);
    most = s > most ? s : most;
  }
  part[0] = most[0];
  for (int64_t i = 1; i < kLanes; ++i) {
    part[0] = most[i] > part[0] ? most[i] : part[0];
  }
  // A block of -infinity alone weighs nothing.
  const float shift = part[0] == -INFINITY ? 0.0f : part[0];
  Floats total = {};
  for (int64_t j = 0; j < count; j += kLanes) {
    const Floats e = exponential(load(scores + j) - shift);
    store(scores + j, e);
    total += e;
  }
  part[1] = sum(total);
  if (coded) scale_scores(scores, count, 1.0f, args.value_scales);
}

// kHeads x kParts registers of the sums, from value `d` of the head on.
template <int kHeads, int kParts>
inline void weigh_rows(const AttendOneArgs& args,
                       const float* values,
                       int64_t count,
                       const float* weights,
                       float* out) {
  const int64_t stride = attend_stride(args.head_dim);
  Floats sums[kHeads][kParts];
  for (int h = 0; h < kHeads; ++h) {
    for (int p = 0; p < kParts; ++p) {
      sums[h][p] = load(out + h * args.part_stride + p * kLanes);
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    for (int p = 0; p < kParts; ++p) {
      const Floats value = load(values + j * stride + p * kLanes);
      for (int h = 0; h < kHeads; ++h) {
        sums[h][p] += value * weights[h * kAttendBlock + j];
      }
    }
  }
  for (int h = 0; h < kHeads; ++h) {
    for (int p = 0; p < kParts; ++p) {
      store(out + h * args.part_stride + p * kLanes, sums[h][p]);
    }
  }
}

template <int kHeads>
inline void weigh_tile(const AttendOneArgs& args,
                       const float* values,
                       int64_t count,
                       const float* weights,
                       float* out) {
  const int64_t stride = attend_stride(args.head_dim);
  int64_t d = 0;
  for (; d + 4 * kLanes <= stride; d += 4 * kLanes) {
    weigh_rows<kHeads, 4>(args, values + d, count, weights, out + d);
  }
  for (; d < stride; d += kLanes) {
    weigh_rows<kHeads, 1>(args, values + d, count, weights, out + d);
  }
}

// All heads' products with a tile of keys; two heads share what is loaded.
inline void dot_heads(const AttendOneArgs& args,
                      const float* q,
                      const float* keys,
                      int64_t count,
                      float* scores) {
  const int64_t stride = attend_stride(args.head_dim);
  int64_t h = 0;
  for (; h + 2 <= args.heads; h += 2) {
    dot_tile<2>(q + h * stride, keys, stride, count, scores + h * kAttendBlock);
  }
  if (h == args.heads) return;
  dot_tile<1>(q + h * stride, keys, stride, count, scores + h * kAttendBlock);
}

inline void weigh_heads(const AttendOneArgs& args,
                        const float* values,
                        int64_t count,
                        const float* weights) {
  int64_t h = 0;
  float* out = args.parts;
  for (; h + 2 <= args.heads; h += 2, out += 2 * args.part_stride) {
    weigh_tile<2>(args, values, count, weights + h * kAttendBlock, out);
  }
  if (h == args.heads) return;
  weigh_tile<1>(args, values, count, weights + h * kAttendBlock, out);
}

// The queries, padded to whole vectors.
inline const float* padded_queries(const AttendOneArgs& args, float* room) {
  const int64_t stride = attend_stride(args.head_dim);
  if (stride == args.head_dim) return args.q;
  for (int64_t h = 0; h < args.heads; ++h) {
    widen_row<CacheType::F32>(
        args.q + h * args.head_dim, args.head_dim, room + h * stride);
  }
  return room;
}

inline int64_t tile_count(const AttendOneArgs& args, int64_t begin) {
  const int64_t left = args.count - begin;
  return left < kAttendTile ? left : kAttendTile;
}

inline void attend_one_loop(const AttendOneArgs& args) {
  const int64_t stride = attend_stride(args.head_dim);
  float* tile = args.scratch;
  float* scores = tile + kAttendTile * stride;
  const float* q = padded_queries(args, scores + args.heads * kAttendBlock);
  for (int64_t j = 0; j < args.count; j += kAttendTile) {
    const int64_t count = tile_count(args, j);
    dot_heads(
        args, q, tile_of(args, args.keys, j, count, tile), count, scores + j);
  }
  for (int64_t h = 0; h < args.heads; ++h) {
    float* part = args.parts + h * args.part_stride;
    soften_block(args, scores + h * kAttendBlock, part + stride);
    memset(part, 0, static_cast<size_t>(stride) * sizeof(float));
  }
  for (int64_t j = 0; j < args.count; j += kAttendTile) {
    const int64_t count = tile_count(args, j);
    weigh_heads(
        args, tile_of(args, args.values, j, count, tile), count, scores + j);
  }
}

inline void merge_parts_loop(const MergePartsArgs& args) {
  const int64_t stride = attend_stride(args.head_dim);
  const int64_t size = attend_part(args.head_dim);
  float most = -INFINITY;
  for (int64_t i = 0; i < args.count; ++i) {
    const float m = args.parts[i * size + stride];
    most = m > most ? m : most;
  }
  float total = 0;
  for (int64_t i = 0; i < args.count; ++i) {
    float* part = args.parts + i * size + stride;
    part[0] = exponential(splat(part[0] - most))[0];
    total += part[1] * part[0];
  }
  for (int64_t d = 0; d < stride; d += kLanes) {
    Floats out = {};
    for (int64_t i = 0; i < args.count; ++i) {
      const float* part = args.parts + i * size;
      out += load(part + d) * part[stride];
    }
    out *= 1.0f / total;
    const int64_t left = args.head_dim - d;
    memcpy(args.out + d,
           &out,
           static_cast<size_t>(left < kLanes ? left : kLanes) * sizeof(float));
  }
}

inline uint16_t narrow_bf16(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof(bits));
  if (v != v) return static_cast<uint16_t>((bits >> 16 & 0x8000) | 0x7fc0);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float store_codes(const float* x, int64_t size, int8_t* codes) {
  float most = 0;
  float spoiled = 0;  // NaN after NaN or infinity
  for (int64_t i = 0; i < size; ++i) {
    const float magnitude = fabsf(x[i]);
    most = magnitude > most ? magnitude : most;
    spoiled += x[i] * 0.0f;
  }
  if (spoiled != spoiled) {
    memset(codes, 0, static_cast<size_t>(size));
    return NAN;
  }
  const float step = most / 127.0f;
  const float scale = step > 0x1p-120f ? step : 0x1p-120f;
  const float inverse = 1.0f / scale;
  const float shift = 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  for (int64_t i = 0; i < size; ++i) {
    codes[i] = static_cast<int8_t>((x[i] * inverse + shift) - shift);
  }
  return scale;
}

inline void store_cached_loop(const StoreCachedArgs& args) {
  const int64_t size = args.count * args.head_dim;
  if (args.cache == CacheType::F32) {
    memcpy(args.rows, args.x, static_cast<size_t>(size) * sizeof(float));
    return;
  }
  if (args.cache == CacheType::Bf16) {
    auto* rows = static_cast<uint16_t*>(args.rows);
    for (int64_t i = 0; i < size; ++i) rows[i] = narrow_bf16(args.x[i]);
    return;
  }
  auto* rows = static_cast<int8_t*>(args.rows);
  for (int64_t i = 0; i < args.count; ++i) {
    args.scales[i] = store_codes(
        args.x + i * args.head_dim, args.head_dim, rows + i * args.head_dim);
  }
}

}  // namespace
}  // namespace mantissa::kernels
