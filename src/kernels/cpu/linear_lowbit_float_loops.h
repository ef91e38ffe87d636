#pragma once

// linear_lowbit_float for vectors V of 8 or 16 columns. Only C headers here:
// instruction-set files include this.
//
// A code becomes a float without a conversion: moved to bit p of a lane and
// or-ed into the mantissa of 2^(23-p), it is 2^(23-p) + u. With b = -(2^(23-p)
// + zero) * scale, exact where the scale has at most 11 bits and is not huge,
// fma(that, scale, b) is (u - zero) * scale rounded once. Other scales take a
// subtraction and a product.
#include <stdint.h>
#include <string.h>

#include "kernels/cpu/lowbit_segments.h"
#include "kernels/cpu/lowbit_values.h"
#include "kernels/cpu/lowbit_workspaces.h"
#include "kernels/linear_lowbit_float_args.h"

namespace mantissa::kernels {
namespace {

constexpr int kSteps = kLowbitChunk / 8;  // of a chunk: pairs of units
constexpr int kUnitBytes = 64;
constexpr int64_t kAhead = 2048;  // bytes from what is read to what is fetched

// Places of codes: the low one for all widths, both for 4 bits.
constexpr int kLowPlace = 12;
constexpr int kHighPlace = 16;

constexpr int32_t magic(int place) { return (127 + 23 - place) << 23; }
constexpr float base(int place) {
  return static_cast<float>(1 << (23 - place));
}

/// How a code becomes a value: by the fma above, that rounded to bfloat16 or
/// not, or in any other case; float8 by its bits. With offsets by a subtraction
/// and an fma, in float32, exact and rounded to bfloat16, or in any other case.
/// In groups of half a chunk, which have two levels of scales, in float32.
enum class FloatWay {
  Exact,
  ExactBf16,
  Any,
  Float8,
  Offset,
  OffsetBf16,
  OffsetAny,
  Halves,
  OffsetHalves,
};

constexpr bool has_halves(FloatWay way) {
  return way == FloatWay::Halves || way == FloatWay::OffsetHalves;
}

constexpr bool has_offsets(FloatWay way) {
  return way == FloatWay::Offset || way == FloatWay::OffsetBf16 ||
         way == FloatWay::OffsetAny || way == FloatWay::OffsetHalves;
}

/// Scale and offsets of one group of a vector of columns.
template <class V>
struct FloatGrid {
  typename V::Float scale;
  typename V::Float low;   // b, or 2^(23-p) + zero, for kLowPlace
  typename V::Float high;  // for kHighPlace
  typename V::Float offset;
  LowbitScale values;  // what Any and Float8 round to
  LowbitCode code;     // of Float8
};

// Scales or offsets, of one level or two: of the group at `at`, in the
// super-block at `super`.
template <class V, bool kLevels>
[[gnu::always_inline]] inline typename V::Float read_level(
    const LowbitWeightView& w,
    const void* values,
    const int8_t* factors,
    int64_t at,
    int64_t super) {
  if (!kLevels || factors == nullptr) {
    return V::metadata(w.scale_type, values, at);
  }
  return V::multiply(V::metadata(w.scale_type, values, super),
                     V::eights(factors + at));
}

// Of columns `lane` on of a tile's group.
template <class V, FloatWay kWay>
[[gnu::always_inline]] inline FloatGrid<V> read_grid(
    const LinearLowbitFloatArgs& args,
    const LowbitGroups& groups,
    int64_t tile,
    int64_t group,
    int64_t lane) {
  constexpr bool kLevels = has_offsets(kWay) || has_halves(kWay);
  const int64_t at = (tile * groups.groups + group) * kLowbitTile + lane;
  const int64_t super =
      (tile * groups.supers + (group >> groups.shift)) * kLowbitTile + lane;
  FloatGrid<V> out;
  const typename V::Float zero = V::zeros(args.w, at);
  out.scale =
      read_level<V, kLevels>(args.w, args.w.scales, args.w.factors, at, super);
  out.code = args.w.code;
  out.low = V::add(zero, V::splat(base(kLowPlace)));
  out.high = V::add(zero, V::splat(base(kHighPlace)));
  out.values = args.values;
  out.offset = zero;
  if constexpr (has_offsets(kWay)) {
    out.offset = read_level<V, kLevels>(
        args.w, args.w.offsets, args.w.offset_factors, at, super);
  }
  if constexpr (kWay == FloatWay::Exact || kWay == FloatWay::ExactBf16) {
    const typename V::Float negative = V::subtract(V::splat(-0.0f), out.scale);
    out.low = V::multiply(out.low, negative);
    out.high = V::multiply(out.high, negative);
  }
  return out;
}

/// Two units, eight values of K, of a vector of columns. 4 bits: as they are
/// stored, else one code a byte.
template <class V>
struct FloatCodes {
  typename V::Int even;
  typename V::Int odd;
};

// `u` is a unit of a plane of kWidth bits, `part` a vector of its columns.
template <class V, int kWidth>
[[gnu::always_inline]] inline typename V::Int plane(const uint8_t* from,
                                                    int u,
                                                    int part) {
  constexpr int kEach = 8 / kWidth;
  const auto row =
      V::load(from + u / kEach * kUnitBytes + part * 4 * V::kWidth);
  return V::bit_and(V::right16(row, u % kEach * kWidth),
                    V::bytes((1 << kWidth) - 1));
}

template <class V, int kBits>
[[gnu::always_inline]] inline typename V::Int unit(const uint8_t* chunk,
                                                   int u,
                                                   int part) {
  if constexpr (kBits == 8) {
    return V::load(chunk + u * kUnitBytes + part * 4 * V::kWidth);
  } else if constexpr (kBits > 4) {
    return V::bit_or(
        plane<V, 4>(chunk, u, part),
        V::left16(unit<V, kBits - 4>(chunk + 4 * kUnitBytes, u, part), 4));
  } else if constexpr (kBits == 3) {
    return V::bit_or(
        plane<V, 2>(chunk, u, part),
        V::left16(plane<V, 1>(chunk + 2 * kUnitBytes, u, part), 2));
  } else {
    return plane<V, kBits>(chunk, u, part);
  }
}

template <class V, int kBits>
[[gnu::always_inline]] inline FloatCodes<V> read_codes(const uint8_t* chunk,
                                                       int step,
                                                       int part) {
  if constexpr (kBits == 4) {
    const auto row = V::load(chunk + step * kUnitBytes + part * 4 * V::kWidth);
    return {row, row};
  } else {
    return {unit<V, kBits>(chunk, 2 * step, part),
            unit<V, kBits>(chunk, 2 * step + 1, part)};
  }
}

// The value of the code at bit kPlace of each lane of v.
template <class V, FloatWay kWay, int kPlace>
[[gnu::always_inline]] inline typename V::Float value(
    typename V::Int v, int32_t mask, const FloatGrid<V>& grid) {
  const auto code = V::bit_and(v, V::ints(mask << kPlace));
  const auto number = V::as_float(V::bit_or(code, V::ints(magic(kPlace))));
  const auto offset = kPlace == kLowPlace ? grid.low : grid.high;
  if constexpr (kWay == FloatWay::Any) {
    return round_any<V>(V::multiply(V::subtract(number, offset), grid.scale),
                        grid.values);
  } else if constexpr (kWay == FloatWay::Halves) {
    return V::multiply(V::subtract(number, offset), grid.scale);
  } else if constexpr (kWay == FloatWay::OffsetAny) {
    return add_once<V>(
        V::subtract(number, offset), grid.scale, grid.offset, grid.values);
  } else if constexpr (has_offsets(kWay)) {
    const auto sum =
        V::fma(V::subtract(number, offset), grid.scale, grid.offset);
    return kWay == FloatWay::OffsetBf16 ? round_bf16<V>(sum) : sum;
  } else {
    const auto exact = V::fma(number, grid.scale, offset);
    return kWay == FloatWay::Exact ? exact : round_bf16<V>(exact);
  }
}

/// Values `at` (a constant) of both units: w of the formula.
template <class V, int kBits, FloatWay kWay>
[[gnu::always_inline]] inline void two_values(const FloatCodes<V>& codes,
                                              const FloatGrid<V>& grid,
                                              int at,
                                              typename V::Float (&out)[2]) {
  if constexpr (kWay == FloatWay::Float8) {
    for (int u = 0; u < 2; ++u) {
      const auto number = float8_value<V>(
          V::left32(u == 0 ? codes.even : codes.odd, 24 - 8 * at), grid.code);
      out[u] = round_any<V>(V::multiply(number, grid.scale), grid.values);
    }
    return;
  }
  const int left = kLowPlace - 8 * at;  // byte `at` of a lane there
  const auto even =
      left > 0 ? V::left32(codes.even, left) : V::right32(codes.even, -left);
  if constexpr (kBits == 4) {
    out[0] = value<V, kWay, kLowPlace>(even, 15, grid);
    out[1] = value<V, kWay, kHighPlace>(even, 15, grid);
  } else {
    const auto odd =
        left > 0 ? V::left32(codes.odd, left) : V::right32(codes.odd, -left);
    out[0] = value<V, kWay, kLowPlace>(even, 255, grid);
    out[1] = value<V, kWay, kLowPlace>(odd, 255, grid);
  }
}

// Columns j .. of row i.
template <class V>
inline void put(const LinearLowbitFloatArgs& args,
                int64_t i,
                int64_t j,
                typename V::Float acc) {
  const int64_t count = least(V::kWidth, args.w.n - j);
  if (count <= 0) return;
  if (args.bias != nullptr) {
    acc = V::add(acc, V::load_some(args.bias + j, count));
  }
  V::store_some(args.y + i * args.y_stride + j, acc, count);
}

// The same address, which the compiler does not know: what is read through it
// need not stay in a register.
[[gnu::always_inline]] inline const float* again(const float* p) {
  __asm__ volatile("" : "+r"(p));
  return p;
}

// The steps of a chunk, unrolled where what is done is short: Any would fill
// the instruction cache.
template <FloatWay kWay, class Step>
[[gnu::always_inline]] inline void each_step(const Step& step) {
  if constexpr (kWay == FloatWay::Any || kWay == FloatWay::Float8 ||
                kWay == FloatWay::OffsetAny) {
#pragma GCC unroll 1
    for (int s = 0; s < kSteps; ++s) step(s);
  } else {
#pragma GCC unroll 4
    for (int s = 0; s < kSteps; ++s) step(s);
  }
}

// Vectors [first, first + kVectors) of columns from `tile` on against a panel
// of kRows rows: codes are read once and become floats in registers.
template <class V, int kBits, FloatWay kWay, int kRows, int kVectors>
void rows_by_vectors(const LinearLowbitFloatArgs& args,
                     int64_t tile,
                     int first) {
  constexpr int kParts = kLowbitTile / V::kWidth;
  const LowbitWeightView w = args.w;
  const int64_t tile_bytes = w.k / kLowbitChunk * kBits * kUnitBytes;
  const LowbitGroups groups(w);
  const uint8_t* chunk = w.codes + tile * tile_bytes;
  const float* x = args.x.values;
  typename V::Float acc[kVectors][kRows][2];
  for (auto& of_vector : acc) {
    for (auto& row : of_vector) row[0] = row[1] = V::splat(0.0f);
  }
  // Two halves at a time.
  const int64_t spans = has_halves(kWay) ? groups.groups / 2 : groups.groups;
  const int64_t chunks = has_halves(kWay) ? 1 : w.group >> kLowbitChunkShift;
  for (int64_t g = 0; g < spans; ++g) {
    FloatGrid<V> grid[kVectors];
    const auto read = [&](int64_t group) __attribute__((always_inline)) {
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        const int at = first + v;
        grid[v] = read_grid<V, kWay>(
            args, groups, tile + at / kParts, group, at % kParts * V::kWidth);
      }
    };
    if constexpr (!has_halves(kWay)) read(g);
    for (int64_t c = chunks; c > 0; --c) {
      each_step<kWay>([&](int s) __attribute__((always_inline)) {
        if constexpr (has_halves(kWay)) {
          if (s % 2 == 0) read(2 * g + s / 2);
        }
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          const int at = first + v;
          const uint8_t* of_tile = chunk + at / kParts * tile_bytes;
          if (at % kParts == 0) {
            for (int line = 0; line < kBits; line += kSteps) {
              V::prefetch(of_tile + kAhead + (line + s) * kUnitBytes);
            }
          }
          const auto codes = read_codes<V, kBits>(of_tile, s, at % kParts);
          const float* from = again(x + s * 8 * kRows);
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            typename V::Float values[2];
            two_values<V, kBits, kWay>(codes, grid[v], i, values);
#pragma GCC unroll 4
            for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
              for (int u = 0; u < 2; ++u) {
                acc[v][r][u] = V::fma(V::splat(from[(4 * u + i) * kRows + r]),
                                      values[u],
                                      acc[v][r][u]);
                V::pin(acc[v][r][u]);
              }
            }
          }
        }
      });
      chunk += kBits * kUnitBytes;
      x += kLowbitChunk * kRows;
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    for (int r = 0; r < kRows; ++r) {
      put<V>(args,
             r,
             tile * kLowbitTile + (first + v) * V::kWidth,
             V::add(acc[v][r][0], acc[v][r][1]));
    }
  }
}

// Values [begin, end) of K of a tile, whole chunks, into `to`.
template <class V, int kBits, FloatWay kWay>
void unpack_values(const LinearLowbitFloatArgs& args,
                   int64_t tile,
                   int64_t begin,
                   int64_t end,
                   float (*to)[kLowbitTile]) {
  constexpr int kParts = kLowbitTile / V::kWidth;
  const LowbitWeightView& w = args.w;
  const LowbitGroups groups(w);
  const uint8_t* chunk =
      w.codes + (tile * w.k + begin) / kLowbitChunk * kBits * kUnitBytes;
  for (int64_t k = begin; k < end;) {
    const int64_t g = groups.groups == 1 ? 0 : k >> shift_of(w.group);
    const int64_t stop =
        has_halves(kWay) ? k + kLowbitChunk : least(end, (g + 1) * w.group);
    FloatGrid<V> grid[kParts];
    const auto read = [&](int64_t group) __attribute__((always_inline)) {
      for (int h = 0; h < kParts; ++h) {
        grid[h] = read_grid<V, kWay>(args, groups, tile, group, h * V::kWidth);
      }
    };
    if constexpr (!has_halves(kWay)) read(g);
    for (; k < stop; k += kLowbitChunk) {
      each_step<kWay>([&](int s) __attribute__((always_inline)) {
        if constexpr (has_halves(kWay)) {
          if (s % 2 == 0) read(g + s / 2);
        }
#pragma GCC unroll 2
        for (int h = 0; h < kParts; ++h) {
          const auto codes = read_codes<V, kBits>(chunk, s, h);
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            typename V::Float values[2];
            two_values<V, kBits, kWay>(codes, grid[h], i, values);
            V::store(to[s * 8 + i] + h * V::kWidth, values[0]);
            V::store(to[s * 8 + 4 + i] + h * V::kWidth, values[1]);
          }
        }
      });
      to += kLowbitChunk;
      chunk += kBits * kUnitBytes;
    }
  }
}

constexpr int64_t kAccStride = 4 * kLowbitTile;  // from a row to the next

// kRows rows of a panel times kVectors vectors of columns, one of the sums:
// every second unit of `count` values of K.
template <class V, int kRows, int kVectors>
void multiply(const float* w0,
              const float* w1,
              const float* x,
              int64_t count,
              float* acc,
              int64_t apart) {  // floats from one vector of acc to the other
  typename V::Float sum[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = V::load(acc + r * kAccStride);
    if constexpr (kVectors == 2) {
      sum[r][1] = V::load(acc + r * kAccStride + apart);
    }
  }
  for (int64_t k = 0; k < count; k += 8) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const auto a = V::load(w0 + i * kLowbitTile);
      const auto b = kVectors == 2 ? V::load(w1 + i * kLowbitTile) : a;
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const auto v = V::splat(x[i * kFloatPanel + r]);
        sum[r][0] = V::fma(v, a, sum[r][0]);
        if constexpr (kVectors == 2) sum[r][1] = V::fma(v, b, sum[r][1]);
      }
    }
    w0 += 8 * kLowbitTile;
    w1 += 8 * kLowbitTile;
    x += 8 * kFloatPanel;
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    V::store(acc + r * kAccStride, sum[r][0]);
    if constexpr (kVectors == 2) {
      V::store(acc + r * kAccStride + apart, sum[r][1]);
    }
  }
}

template <class V, int kTiles, int kRows>
inline void multiply_rows(FloatWorkspace& space,
                          const float* x,
                          int64_t count,
                          int64_t slot) {
  for (int u = 0; u < 2; ++u) {
    float* acc = parts_behind<FloatRow>(space)[slot].acc[u][0];
    const float* first = space.w[0][4 * u];
    const float* second = space.w[1][4 * u];
    const float* from = x + 4 * u * kFloatPanel;
    if constexpr (V::kWidth == kLowbitTile) {
      multiply<V, kRows, kTiles>(first, second, from, count, acc, kLowbitTile);
    } else {
      constexpr int64_t kHalf = V::kWidth;
      multiply<V, kRows, 2>(first, first + kHalf, from, count, acc, kHalf);
      if constexpr (kTiles == 2) {
        multiply<V, kRows, 2>(
            second, second + kHalf, from, count, acc + kLowbitTile, kHalf);
      }
    }
  }
}

template <class V, int kTiles>
void multiply_panel(FloatWorkspace& space,
                    const float* x,
                    int64_t count,
                    int64_t slot,
                    int64_t rows) {
  switch (rows) {
    case 1:
      return multiply_rows<V, kTiles, 1>(space, x, count, slot);
    case 2:
      return multiply_rows<V, kTiles, 2>(space, x, count, slot);
    case 3:
      return multiply_rows<V, kTiles, 3>(space, x, count, slot);
    case 4:
      return multiply_rows<V, kTiles, 4>(space, x, count, slot);
    case 5:
      return multiply_rows<V, kTiles, 5>(space, x, count, slot);
    default:
      return multiply_rows<V, kTiles, 6>(space, x, count, slot);
  }
}

// kTiles tiles against rows [begin, end), which begin a panel.
template <class V, int kBits, FloatWay kWay, int kTiles>
void panels_by_tiles(const LinearLowbitFloatArgs& args,
                     int64_t tile,
                     int64_t begin,
                     int64_t end,
                     FloatWorkspace& space) {
  const int64_t depth = args.w.k;
  FloatRow* rows = parts_behind<FloatRow>(space);
  memset(rows, 0, static_cast<size_t>(end - begin) * sizeof(rows[0]));
  for (int64_t k = 0; k < depth; k += kFloatBlock) {
    const int64_t stop = least(k + kFloatBlock, depth);
    for (int t = 0; t < kTiles; ++t) {
      unpack_values<V, kBits, kWay>(args, tile + t, k, stop, space.w[t]);
    }
    for (int64_t i = begin; i < end; i += kFloatPanel) {
      multiply_panel<V, kTiles>(
          space,
          args.x.values + float_place(args.x, i / kFloatPanel, k),
          stop - k,
          i - begin,
          least(kFloatPanel, end - i));
    }
  }
  for (int64_t i = begin; i < end; ++i) {
    for (int t = 0; t < kTiles; ++t) {
      for (int h = 0; h < kLowbitTile; h += V::kWidth) {
        put<V>(args,
               i,
               (tile + t) * kLowbitTile + h,
               V::add(V::load(rows[i - begin].acc[0][t] + h),
                      V::load(rows[i - begin].acc[1][t] + h)));
      }
    }
  }
}

// Up to four rows; as many vectors at once as there are registers for sums.
template <class V, int kBits, FloatWay kWay, int kTiles, int kRows>
void few_rows(const LinearLowbitFloatArgs& args, int64_t tile) {
  constexpr int kAll = kTiles * kLowbitTile / V::kWidth;
  constexpr int kMost = V::kSums / (2 * kRows);
  constexpr int kVectors = kMost < 1 ? 1 : kMost < kAll ? kMost : kAll;
  static_assert(kAll % kVectors == 0);
  for (int v = 0; v < kAll; v += kVectors) {
    rows_by_vectors<V, kBits, kWay, kRows, kVectors>(args, tile, v);
  }
}

template <class V, int kBits, FloatWay kWay, int kTiles>
void run_tiles(const LinearLowbitFloatArgs& args,
               int64_t tile,
               FloatWorkspace* space) {
  switch (args.x.panel) {
    case 1:
      return few_rows<V, kBits, kWay, kTiles, 1>(args, tile);
    case 2:
      return few_rows<V, kBits, kWay, kTiles, 2>(args, tile);
    case 3:
      return few_rows<V, kBits, kWay, kTiles, 3>(args, tile);
    case 4:
      return few_rows<V, kBits, kWay, kTiles, 4>(args, tile);
    default:
      break;
  }
  for (int64_t i = 0; i < args.x.m; i += kFloatRows) {
    const int64_t end = least(i + kFloatRows, args.x.m);
    panels_by_tiles<V, kBits, kWay, kTiles>(args, tile, i, end, *space);
  }
}

// Whether bfloat16 scales and offsets from `begin` to `end` are finite and so
// near each other that code * scale + offset has at most 24 bits: 8 of each, 4
// between them for the code, 12 bits apart.
template <class V>
inline bool sums_are_exact(const LowbitWeightView& w,
                           int64_t begin,
                           int64_t end) {
  constexpr int kApart = 12;
  constexpr int kLargest = 249;  // exponent: 16 times it is finite
  const auto exponent = [](typename V::Int bits) {
    return V::right32(V::left32(bits, 1), 24);
  };
  const auto all = V::ints(-1);
  auto bad = V::ints(0);
  for (int64_t at = begin; at < end; at += V::kWidth) {
    const auto s = V::as_ints(V::metadata(w.scale_type, w.scales, at));
    const auto z = V::as_ints(V::metadata(w.scale_type, w.offsets, at));
    const auto es = exponent(s);
    const auto ez = exponent(z);
    const auto apart = V::bit_or(
        V::bit_or(V::if_above(es, V::add32(ez, V::ints(kApart)), all),
                  V::if_above(ez, V::add32(es, V::ints(kApart)), all)),
        V::bit_or(V::if_above(V::ints(1), es, all),
                  V::if_above(V::ints(1), ez, all)));
    const auto some = [&](typename V::Int bits) {
      return V::if_above(V::bit_and(bits, V::ints(INT32_MAX)), V::ints(0), all);
    };
    const auto both = V::bit_and(some(s), some(z));
    bad = V::bit_or(bad, V::bit_and(apart, both));
    bad = V::bit_or(bad, V::if_above(es, V::ints(kLargest), all));
    bad = V::bit_or(bad, V::if_above(ez, V::ints(kLargest), all));
  }
  return V::none(bad);
}

// Ways of their own for 4 and 5 bits, which formats with offsets have.
template <class V, int kBits, int kTiles>
void run_offsets(const LinearLowbitFloatArgs& args,
                 int64_t tile,
                 FloatWorkspace* space) {
  if constexpr (kBits == 4 || kBits == 5) {
    if (args.values == LowbitScale::F32) {
      return run_tiles<V, kBits, FloatWay::Offset, kTiles>(args, tile, space);
    }
  }
  if constexpr (kBits == 4) {
    const int64_t count = args.w.k / args.w.group * kLowbitTile;
    if (args.values == LowbitScale::Bf16 &&
        args.w.scale_type == LowbitScale::Bf16 &&
        sums_are_exact<V>(args.w, tile * count, (tile + kTiles) * count)) {
      return run_tiles<V, kBits, FloatWay::OffsetBf16, kTiles>(
          args, tile, space);
    }
  }
  run_tiles<V, kBits, FloatWay::OffsetAny, kTiles>(args, tile, space);
}

template <class V, int kBits, int kTiles>
void run_one_way(const LinearLowbitFloatArgs& args,
                 int64_t tile,
                 FloatWorkspace* space) {
  if constexpr (kBits == 8) {
    if (args.w.code != LowbitCode::Integer) {
      return run_tiles<V, kBits, FloatWay::Float8, kTiles>(args, tile, space);
    }
  }
  if constexpr (kBits == 2 || kBits == 3 || kBits == 6) {
    if (args.w.group < kLowbitChunk) {
      return args.w.offsets != nullptr
                 ? run_tiles<V, kBits, FloatWay::OffsetHalves, kTiles>(
                       args, tile, space)
                 : run_tiles<V, kBits, FloatWay::Halves, kTiles>(
                       args, tile, space);
    }
  }
  if (args.w.offsets != nullptr) {
    return run_offsets<V, kBits, kTiles>(args, tile, space);
  }
  const int64_t count = args.w.k / args.w.group * kLowbitTile;
  bool exact = args.w.scale_type != LowbitScale::F32;
  for (int t = 0; t < kTiles && exact; ++t) {
    // Finite, and 2^12 times it is too.
    exact = V::all_below(
        static_cast<const uint16_t*>(args.w.scales) + (tile + t) * count,
        count,
        args.w.scale_type == LowbitScale::F16 ? 31 << 10 : 240 << 7);
  }
  if (!exact || args.values == LowbitScale::F16) {
    run_tiles<V, kBits, FloatWay::Any, kTiles>(args, tile, space);
  } else if (args.values == LowbitScale::Bf16) {
    run_tiles<V, kBits, FloatWay::ExactBf16, kTiles>(args, tile, space);
  } else {
    run_tiles<V, kBits, FloatWay::Exact, kTiles>(args, tile, space);
  }
}

template <class V, int kBits>
void run_float(const LinearLowbitFloatArgs& args,
               const LinearLowbitTiles& tiles) {
  auto* space = static_cast<FloatWorkspace*>(tiles.workspace);
  int64_t tile = tiles.begin;
  for (; tile + 2 <= tiles.end; tile += 2) {
    run_one_way<V, kBits, 2>(args, tile, space);
  }
  if (tile < tiles.end) run_one_way<V, kBits, 1>(args, tile, space);
}

template <class V>
inline void run_float_bits(const LinearLowbitFloatArgs& args,
                           const LinearLowbitTiles& tiles) {
  switch (args.w.bits) {
    case 1:
      return run_float<V, 1>(args, tiles);
    case 2:
      return run_float<V, 2>(args, tiles);
    case 3:
      return run_float<V, 3>(args, tiles);
    case 4:
      return run_float<V, 4>(args, tiles);
    case 5:
      return run_float<V, 5>(args, tiles);
    case 6:
      return run_float<V, 6>(args, tiles);
    case 7:
      return run_float<V, 7>(args, tiles);
    default:
      return run_float<V, 8>(args, tiles);
  }
}

}  // namespace
}  // namespace mantissa::kernels
