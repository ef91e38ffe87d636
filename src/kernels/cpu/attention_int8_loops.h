#pragma once

// Attention of uint8 codes: what is the same for every instruction set `V`.
// Products are those of codes on the left, a row each query, with packed codes
// on the right: for each V::kGroup positions along the sum a block of columns,
// V::kGroup codes each. Sixteen columns are a vector, V::kVectors vectors a
// panel. Only C headers here: instruction-set files include this.
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/attention_int8_args.h"
#include "kernels/common/exp2_polynomial.h"

namespace mantissa::kernels {
namespace {

constexpr int64_t kLanes = 16;

/// sums[r, j] = starts of row and column + codes[r, :] * packed[:, j].
template <class Code, class Packed>
struct AttentionSums {
  const Code* codes;
  int64_t code_stride;
  const Packed* packed;
  int64_t steps;
  const int32_t* row_start;
  const int32_t* column_start;
  int32_t* sums;
  int64_t sum_stride;
};

template <class T>
inline const T* row_of(const T* data,
                       const AttentionStrides& strides,
                       const AttentionHead& head,
                       int64_t position) {
  return data + head.batch * strides.batch + head.head * strides.head +
         position * strides.position;
}

template <class V>
struct AttentionLoops {
  using Code = typename V::Code;
  using Packed = typename V::Packed;
  using Sums = AttentionSums<Code, Packed>;
  using Floats = typename V::Floats;
  using Ints = typename V::Ints;

  static constexpr int64_t kPanel = V::kVectors * kLanes;
  static constexpr int64_t kAhead = 16;  // rows fetched before their turn

  /// The memory of a thread, and the sizes of what is in it.
  struct Room {
    Room(const AttentionInt8Args& args, void* scratch) {
      const AttentionScratch at = attention_scratch(args.keys, args.head_dim);
      auto* from = static_cast<uint8_t*>(scratch);
      key_codes = reinterpret_cast<Packed*>(from + at.keys);
      value_codes = reinterpret_cast<Packed*>(from + at.values);
      key_start = reinterpret_cast<int32_t*>(from + at.key_start);
      value_start = reinterpret_cast<int32_t*>(from + at.value_start);
      row_start = reinterpret_cast<int32_t*>(from + at.row_start);
      queries = reinterpret_cast<Code*>(from + at.queries);
      scores = reinterpret_cast<int32_t*>(from + at.scores);
      codes = reinterpret_cast<Code*>(from + at.codes);
      sums = reinterpret_cast<int32_t*>(from + at.sums);
      totals = reinterpret_cast<double*>(from + at.totals);
      dim_steps = (args.head_dim + V::kGroup - 1) / V::kGroup;
      key_columns = attention_whole(args.keys, kLanes);
      dim_columns = attention_whole(args.head_dim, kLanes);
    }
    Packed* key_codes;
    Packed* value_codes;
    int32_t* key_start;
    int32_t* value_start;
    int32_t* row_start;
    Code* queries;
    int32_t* scores;
    Code* codes;
    int32_t* sums;
    double* totals;
    int64_t dim_steps;
    int64_t key_columns;
    int64_t dim_columns;
  };

  /// Keys [begin, begin + count) and where their values lie.
  struct Segment {
    Segment(const AttentionInt8Args& args, const Room& room, int64_t from)
        : begin(from),
          count(args.keys - from < kAttentionSegment ? args.keys - from
                                                     : kAttentionSegment),
          steps((count + V::kGroup - 1) / V::kGroup),
          values(room.value_codes + from * room.dim_columns),
          start(room.value_start +
                from / kAttentionSegment * room.dim_columns) {}
    int64_t begin;
    int64_t count;
    int64_t steps;
    Packed* values;
    int32_t* start;
  };

  // ---- products

  template <int kR>
  static inline void multiply_rows(const Sums& of, int64_t vectors) {
    switch (vectors) {
      case 1:
        return V::template multiply<kR, 1>(of);
      case 2:
        return V::template multiply<kR, V::kVectors < 2 ? 1 : 2>(of);
      case 3:
        return V::template multiply<kR, V::kVectors < 3 ? 1 : 3>(of);
      default:
        return V::template multiply<kR, V::kVectors>(of);
    }
  }

  // What is left of the rows after whole blocks of V::kRows.
  template <int kR>
  static inline void multiply_rest(const Sums& of,
                                   int64_t rows,
                                   int64_t vectors) {
    if constexpr (kR > 0) {
      if (rows == kR) return multiply_rows<kR>(of, vectors);
      multiply_rest<kR - 1>(of, rows, vectors);
    }
  }

  // `rows` rows of codes with all panels of `columns` columns.
  static inline void multiply(Sums of, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j += kPanel) {
      const int64_t left = columns - j;
      const int64_t vectors = (left < kPanel ? left : kPanel) / kLanes;
      Sums part = of;
      part.packed += j * of.steps * V::kGroup;
      part.column_start += j;
      part.sums += j;
      int64_t r = 0;
      for (; r + V::kRows <= rows; r += V::kRows) {
        multiply_rows<V::kRows>(part, vectors);
        part.codes += V::kRows * of.code_stride;
        part.sums += V::kRows * of.sum_stride;
        part.row_start += V::kRows;
      }
      multiply_rest<V::kRows - 1>(part, rows - r, vectors);
    }
  }

  // ---- a head's keys and values

  // A row that comes later: rows of a head may lie far from each other.
  static inline void fetch(const uint8_t* row, int64_t head_dim) {
    for (int64_t d = 0; d < head_dim; d += 64) __builtin_prefetch(row + d);
  }

  static inline void pack_keys(const AttentionInt8Args& args,
                               const AttentionHead& head,
                               const Room& room) {
    for (int64_t j = 0; j < args.keys; ++j) {
      if (j + kAhead < args.keys) {
        fetch(row_of(args.k, args.k_strides, head, j + kAhead), args.head_dim);
      }
      const int64_t panel = j / kPanel * kPanel;
      const int64_t left = room.key_columns - panel;
      const int64_t columns = left < kPanel ? left : kPanel;
      V::pack_key(row_of(args.k, args.k_strides, head, j),
                  args.head_dim,
                  args.k_zero,
                  room.key_codes + panel * room.dim_steps * V::kGroup +
                      (j - panel) * V::kGroup,
                  columns * V::kGroup);
    }
    // Columns behind the last key: some codes.
    for (int64_t j = args.keys; j < room.key_columns; ++j) {
      const int64_t panel = j / kPanel * kPanel;
      const int64_t left = room.key_columns - panel;
      const int64_t columns = left < kPanel ? left : kPanel;
      Packed* to = room.key_codes + panel * room.dim_steps * V::kGroup +
                   (j - panel) * V::kGroup;
      for (int64_t s = 0; s < room.dim_steps; ++s) {
        memset(to + s * columns * V::kGroup, 0, V::kGroup * sizeof(Packed));
      }
    }
  }

  static inline void pack_values(const AttentionInt8Args& args,
                                 const AttentionHead& head,
                                 const Room& room,
                                 const Segment& segment) {
    for (int64_t s = 0; s < segment.steps; ++s) {
      const uint8_t* rows[V::kGroup];
      for (int64_t g = 0; g < V::kGroup; ++g) {
        // Behind the last key codes of probabilities are 0.
        const int64_t j = s * V::kGroup + g;
        const int64_t last = segment.count - 1;
        rows[g] = row_of(args.v,
                         args.v_strides,
                         head,
                         segment.begin + (j < last ? j : last));
        if (j + kAhead < segment.count) {
          fetch(rows[g] + kAhead * args.v_strides.position, args.head_dim);
        }
      }
      for (int64_t d = 0; d < room.dim_columns; d += kLanes) {
        const int64_t panel = d / kPanel * kPanel;
        const int64_t left = room.dim_columns - panel;
        const int64_t columns = left < kPanel ? left : kPanel;
        const int64_t there = args.head_dim - d;
        V::pack_values(rows,
                       d,
                       there < kLanes ? there : kLanes,
                       args.v_zero,
                       segment.values + panel * segment.steps * V::kGroup +
                           (s * columns + d - panel) * V::kGroup);
      }
    }
  }

  // Of sums over codes a without zero_a and packed codes b - kBase:
  // (a - zero_a) * (b - zero_b) summed is a * b' - zero_b' * (sum of a)
  // - zero_a * (sum of b') + count * zero_a * zero_b'; the last two terms.
  static inline void start_columns(const Room& room,
                                   const Packed* packed,
                                   int64_t count,
                                   int64_t columns,
                                   int32_t zero_a,
                                   int32_t zero_b,
                                   int32_t* start) {
    memset(start, 0, static_cast<size_t>(columns) * sizeof(int32_t));
    if constexpr (V::kBase != 0) {
      const int64_t steps = (count + V::kGroup - 1) / V::kGroup;
      memset(room.codes, 0, static_cast<size_t>(steps * V::kGroup));
      memset(room.codes, zero_a, static_cast<size_t>(count));
      const int32_t none = 0;
      multiply(
          {room.codes, 0, packed, steps, &none, start, start, 0}, 1, columns);
      const int32_t all =
          static_cast<int32_t>(count) * zero_a * (zero_b - V::kBase);
      for (int64_t j = 0; j < columns; ++j) start[j] = all - start[j];
    }
  }

  static inline void prepare(const AttentionInt8Args& args,
                             const AttentionHead& head,
                             void* scratch) {
    const Room room(args, scratch);
    pack_keys(args, head, room);
    start_columns(room,
                  room.key_codes,
                  args.head_dim,
                  room.key_columns,
                  args.q_zero,
                  args.k_zero,
                  room.key_start);
    for (int64_t from = 0; from < args.keys; from += kAttentionSegment) {
      const Segment segment(args, room, from);
      pack_values(args, head, room, segment);
      start_columns(room,
                    segment.values,
                    segment.count,
                    room.dim_columns,
                    args.a_zero,
                    args.v_zero,
                    segment.start);
    }
  }

  // ---- rows

  // Codes of queries, zeros behind them; what the sums of each row begin with.
  static inline void take_queries(const AttentionInt8Args& args,
                                  const AttentionHead& head,
                                  const Room& room,
                                  int64_t begin,
                                  int64_t rows) {
    const int64_t width = room.dim_steps * V::kGroup;
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* q = row_of(args.q, args.q_strides, head, begin + r);
      Code* to = room.queries + r * width;
      int32_t sum = 0;
      for (int64_t d = 0; d < args.head_dim; ++d) {
        to[d] = static_cast<Code>(V::kBase != 0 ? q[d] : q[d] - args.q_zero);
        sum += q[d];
      }
      for (int64_t d = args.head_dim; d < width; ++d) to[d] = 0;
      room.row_start[r] = V::kBase != 0 ? (V::kBase - args.k_zero) * sum : 0;
    }
  }

  // 2^x for x <= 0, or NaN.
  static inline Floats power_of_two(Floats x) {
    const Floats n = V::round(x);
    const Floats r = V::sub(x, n);
    Floats p = V::set(kExp2Polynomial[4]);
    p = V::fma(p, r, V::set(kExp2Polynomial[3]));
    p = V::fma(p, r, V::set(kExp2Polynomial[2]));
    p = V::fma(p, r, V::set(kExp2Polynomial[1]));
    p = V::fma(p, r, V::set(kExp2Polynomial[0]));
    p = V::fma(p, r, V::set(1.0f));
    return V::times_power(p, n, x);
  }

  // e of a row over its scores, from what `exponents` makes of 16 of them; the
  // sum of e.
  template <class Exponents>
  static inline float powers(int64_t keys,
                             float* e,
                             const Exponents& exponents) {
    Floats total = V::set(0.0f);
    int64_t j = 0;
    for (; j + kLanes <= keys; j += kLanes) {
      const Floats v = power_of_two(exponents(j));
      total = V::add(total, v);
      V::store(e + j, v);
    }
    if (j < keys) {
      const Floats v = V::first(power_of_two(exponents(j)), keys - j);
      total = V::add(total, v);
      V::store(e + j, v);
    }
    return V::sum(total);
  }

  static inline float soften_integers(const AttentionInt8Args& args,
                                      int32_t* scores) {
    Ints most = V::set_int(INT32_MIN);
    int64_t j = 0;
    for (; j + kLanes <= args.keys; j += kLanes) {
      most = V::max_int(most, V::load_int(scores + j));
    }
    if (j < args.keys) {
      // Scores behind the last key are some.
      for (int64_t i = args.keys; i < j + kLanes; ++i) scores[i] = INT32_MIN;
      most = V::max_int(most, V::load_int(scores + j));
    }
    const Ints shift = V::set_int(V::most_int(most));
    const Floats step = V::set(args.score_scale * kLog2E);
    return powers(
        args.keys, reinterpret_cast<float*>(scores), [&](int64_t at) {
          return V::mul(
              V::to_floats(V::sub_int(V::load_int(scores + at), shift)), step);
        });
  }

  static inline float soften_floats(const AttentionInt8Args& args,
                                    const float* mask,
                                    int32_t* scores) {
    auto* s = reinterpret_cast<float*>(scores);
    const Floats scale = V::set(args.score_scale);
    Floats most = V::set(-INFINITY);
    for (int64_t j = 0; j < args.keys; j += kLanes) {
      const int64_t left = args.keys - j;
      Floats v = V::mul(V::to_floats(V::load_int(scores + j)), scale);
      if (mask != nullptr) {
        v = V::add(v,
                   left < kLanes ? V::load_first(mask + j, left)
                                 : V::load(mask + j));
      }
      V::store(s + j, v);
      if (left < kLanes) {
        for (int64_t i = left; i < kLanes; ++i) s[j + i] = -INFINITY;
        v = V::load(s + j);
      }
      most = V::max(v, most);
    }
    const Floats shift = V::set(V::most(most));
    const Floats step = V::set(kLog2E);
    return powers(args.keys, s, [&](int64_t at) {
      return V::mul(V::sub(V::load(s + at), shift), step);
    });
  }

  // Codes of the probabilities of a segment, zeros behind them; their sum.
  static inline int32_t quantize(const AttentionInt8Args& args,
                                 const Segment& segment,
                                 const float* e,
                                 float factor,
                                 Code* codes) {
    const Floats by = V::set(factor);
    const Ints zero = V::set_int(args.a_zero);
    const float* from = e + segment.begin;
    Code* to = codes + segment.begin;
    typename V::CodeSum total = V::no_codes();
    int64_t j = 0;
    for (; j + kLanes <= segment.count; j += kLanes) {
      V::template quantize<true>(
          V::mul(V::load(from + j), by), zero, kLanes, to + j, total);
    }
    if (j < segment.count) {
      V::template quantize<false>(V::mul(V::load(from + j), by),
                                  zero,
                                  segment.count - j,
                                  to + j,
                                  total);
    }
    return V::sum_codes(total);
  }

  // Scores of a row become the codes of its probabilities. False: they are NaN.
  static inline bool soften(const AttentionInt8Args& args,
                            const float* mask,
                            const Room& room,
                            int64_t r) {
    int32_t* scores = room.scores + r * room.key_columns;
    const bool integers = mask == nullptr && args.score_scale >= 0;
    const float sum = integers ? soften_integers(args, scores)
                               : soften_floats(args, mask, scores);
    const bool is_nan = sum != sum;
    const float factor = static_cast<float>(1.0 / (sum * args.a_scale));
    for (int64_t from = 0; from < args.keys; from += kAttentionSegment) {
      const int32_t codes = quantize(args,
                                     Segment(args, room, from),
                                     reinterpret_cast<float*>(scores),
                                     is_nan ? 0.0f : factor,
                                     room.codes + r * room.key_columns);
      const int64_t s = from / kAttentionSegment;
      room.row_start[s * kAttentionRows + r] =
          V::kBase != 0 ? (V::kBase - args.v_zero) * codes : 0;
    }
    return !is_nan;
  }

  static inline void finish(const AttentionInt8Args& args,
                            const float* sums,
                            uint8_t* out) {
    const Floats scale = V::set(args.out_scale);
    const Ints zero = V::set_int(args.o_zero);
    for (int64_t d = 0; d < args.head_dim; d += kLanes) {
      const int64_t left = args.head_dim - d;
      V::store_bytes(out + d,
                     V::requantize(V::mul(V::load(sums + d), scale), zero),
                     left < kLanes ? left : kLanes);
    }
  }

  // Integer sums of a row become floats, in place.
  static inline void round_sums(const Room& room, int64_t r, bool long_sums) {
    int32_t* sums = room.sums + r * room.dim_columns;
    auto* out = reinterpret_cast<float*>(sums);
    if (long_sums) {
      const double* totals = room.totals + r * room.dim_columns;
      for (int64_t d = 0; d < room.dim_columns; ++d) {
        out[d] = static_cast<float>(totals[d]);
      }
      return;
    }
    for (int64_t d = 0; d < room.dim_columns; d += kLanes) {
      V::store(out + d, V::to_floats(V::load_int(sums + d)));
    }
  }

  static inline void weigh_values(const AttentionInt8Args& args,
                                  const Room& room,
                                  int64_t rows) {
    for (int64_t from = 0; from < args.keys; from += kAttentionSegment) {
      const Segment segment(args, room, from);
      multiply({room.codes + from,
                room.key_columns,
                segment.values,
                segment.steps,
                room.row_start + from / kAttentionSegment * kAttentionRows,
                segment.start,
                room.sums,
                room.dim_columns},
               rows,
               room.dim_columns);
      if (args.keys <= kAttentionSegment) return;
      for (int64_t i = 0; i < rows * room.dim_columns; ++i) {
        room.totals[i] = (from == 0 ? 0.0 : room.totals[i]) + room.sums[i];
      }
    }
  }

  static inline void attend(const AttentionInt8Args& args,
                            const AttentionHead& head,
                            int64_t begin,
                            int64_t end,
                            void* scratch) {
    const Room room(args, scratch);
    const int64_t rows = end - begin;
    take_queries(args, head, room, begin, rows);
    multiply({room.queries,
              room.dim_steps * V::kGroup,
              room.key_codes,
              room.dim_steps,
              room.row_start,
              room.key_start,
              room.scores,
              room.key_columns},
             rows,
             room.key_columns);
    bool is_number[kAttentionRows];
    for (int64_t r = 0; r < rows; ++r) {
      const float* mask =
          args.mask == nullptr
              ? nullptr
              : row_of(args.mask, args.mask_strides, head, begin + r);
      is_number[r] = soften(args, mask, room, r);
    }
    weigh_values(args, room, rows);
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* out = args.out + head.batch * args.out_strides.batch +
                     head.head * args.out_strides.head +
                     (begin + r) * args.out_strides.position;
      if (!is_number[r]) {
        memset(out, 0, static_cast<size_t>(args.head_dim));
        continue;
      }
      round_sums(room, r, args.keys > kAttentionSegment);
      finish(args,
             reinterpret_cast<float*>(room.sums + r * room.dim_columns),
             out);
    }
  }
};

}  // namespace
}  // namespace mantissa::kernels
