#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>
#include <string.h>

#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {
namespace {

constexpr int kLowbitChunkShift = 5;

inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

inline int shift_of(int64_t power_of_two) {
  return __builtin_ctzll(static_cast<unsigned long long>(power_of_two));
}

/// How scales are read: one a group, with an offset beside it, or both as
/// products of two levels.
enum class LowbitForm { Plain, Offsets, Levels };

/// What the loops over K need of a problem. Groups are powers of two or all of
/// K, so that nothing is divided.
struct LowbitWalk {
  static constexpr int kWhole = 62;  // shift of a group that is all of K

  int64_t k;         // stored
  int64_t chunks;    // of K
  int64_t groups;    // scales of a column
  int64_t x_groups;  // scales of a row of x
  int64_t supers;    // super-blocks of a column; one level: 1
  int group_shift;
  int super_shift;
  int x_shift;
  int step_shift;  // segments: one scale of each kind, at most kLowbitExact

  explicit LowbitWalk(const LinearLowbitArgs& args)
      : k(args.w.k),
        chunks(args.w.k / kLowbitChunk),
        groups(args.w.k / args.w.group),
        x_groups(args.x.group == 0
                     ? 1
                     : (args.x.k + args.x.group - 1) / args.x.group),
        supers(args.w.super == 0 ? 1 : args.w.k / args.w.super),
        group_shift(args.w.group == args.w.k ? kWhole : shift_of(args.w.group)),
        super_shift(args.w.super == 0 ? kWhole : shift_of(args.w.super)),
        x_shift(args.x.group == 0 ? kWhole : shift_of(args.x.group)),
        step_shift(static_cast<int>(least(group_shift, x_shift))) {
    if (k > kLowbitExact) {
      step_shift = static_cast<int>(least(step_shift, shift_of(kLowbitExact)));
    }
  }

  // The segment that contains `at`.
  int64_t begin(int64_t at) const { return at >> step_shift << step_shift; }
  int64_t end(int64_t at) const {
    return least(((at >> step_shift) + 1) << step_shift, k);
  }
  int64_t group(int64_t at) const { return at >> group_shift; }
  int64_t x_group(int64_t at) const { return at >> x_shift; }
  // Where the metadata of a tile's group, and of its super-block, begin.
  int64_t place(int64_t tile, int64_t at) const {
    return (tile * groups + group(at)) * kLowbitTile;
  }
  int64_t super_place(int64_t tile, int64_t at) const {
    return (tile * supers + (at >> super_shift)) * kLowbitTile;
  }
};

inline int32_t load_i32(const void* from) {
  int32_t out;
  memcpy(&out, from, sizeof(out));
  return out;
}

// Sum of the codes of one row of a panel in [begin, end).
inline int32_t code_sum(const LowbitActivations& x,
                        int64_t panel,
                        int64_t row,
                        int64_t begin,
                        int64_t end) {
  const int64_t chunks = x.k >> kLowbitChunkShift;
  const int32_t* sums = x.sums + panel * chunks * x.panel + row;
  int32_t out = 0;
  const int64_t last = end >> kLowbitChunkShift;
  for (int64_t c = begin >> kLowbitChunkShift; c < last; ++c) {
    out += sums[c * x.panel];
  }
  return out;
}

}  // namespace
}  // namespace mantissa::kernels
