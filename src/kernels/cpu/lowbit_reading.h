#pragma once

// How codes of the runtime layout come from memory for few rows of x, which are
// bound by that. Only C headers here: instruction-set files include this.
#include <immintrin.h>

#include "kernels/cpu/lowbit_units_avx512.h"
#include "kernels/cpu/pace.h"

namespace mantissa::kernels {
namespace {

// A way says how many tiles are read at once, from places far apart, and what
// of the codes behind a chunk is fetched. The processor fetches ahead for each
// stream on its own, so that more of them have more lines under way.

/// Several streams: fastest where memory answers quickly. Counts and distances
/// were measured on a Zen 4 for each width.
template <int kBits>
struct Streams {
  static constexpr int kTiles = kBits == 4                 ? 4
                                : kBits == 5 || kBits == 7 ? 1
                                                           : 2;

  static void fetch(const uint8_t* chunk) {
    if constexpr (kBits == 2 || kBits == 3) {
      fetch_ahead<kBits, Fetch::First, kAhead / 2>(chunk);
    } else if constexpr (kBits == 6) {
      fetch_ahead<kBits, Fetch::First, kAhead / 4>(chunk);
    } else if constexpr (kBits == 5 || kBits == 7) {
      fetch_ahead<kBits, Fetch::First>(chunk);
    } else if constexpr (kBits == 8) {
      fetch_line<Fetch::Second>(chunk + kAhead);
      fetch_line<Fetch::Second>(chunk + kAhead + 4 * kUnitBytes);
    }
  }
};

/// One stream whose codes are fetched to the first cache: what too few bytes
/// for streams are fastest with.
template <int kBits>
struct OneStream {
  static constexpr int kTiles = 1;

  static void fetch(const uint8_t* chunk) {
    fetch_ahead<kBits, Fetch::First>(chunk);
  }
};

/// Codes fetched to the second cache and from there to the first: fastest where
/// memory answers slowly, beside other work on the machine.
template <int kBits>
struct TwoSteps {
  static constexpr int kTiles = kBits == 2 || kBits == 3 ? 2 : 1;

  static void fetch(const uint8_t* chunk) {
    fetch_ahead<kBits, Fetch::Second, 2 * kAhead / kTiles>(chunk);
    fetch_ahead<kBits, Fetch::First, kTiles == 2 ? kAhead / 4 : kAhead>(chunk);
  }
};

/// For 2 rows and more (int4 g128, 4 rows: 0.60 -> 0.78 of the vpdpbusd peak;
/// int8, 16 rows: 0.78 -> 0.91).
template <int kBits>
struct SecondCache {
  static constexpr int kTiles = 1;

  static void fetch(const uint8_t* chunk) {
    fetch_ahead<kBits, Fetch::Second>(chunk);
  }
};

/// Calls run(way, tile, apart) for tiles [begin, end): Way::kTiles tiles from
/// `tile` on, `apart` tiles from one to the next, and those that are left
/// alone.
template <int kBits, class Way, class Run>
[[gnu::always_inline]] inline void each_tiles(int64_t begin,
                                              int64_t end,
                                              const Run& run) {
  const int64_t apart = (end - begin) / Way::kTiles;
  for (int64_t i = 0; i < apart; ++i) run(Way{}, begin + i, apart);
  begin += apart * Way::kTiles;
  for (; begin < end; ++begin) run(OneStream<kBits>{}, begin, 0);
}

/// Bytes from which streams gain more than their beginnings cost.
constexpr int64_t kLeastStreamed = 1 << 20;

/// Paces of problems alike, apart where streams are worth it.
struct Paces {
  Pace streamed;
  Pace single;
};

/// Calls run(way, tile, apart) for tiles [begin, end) of `tile_bytes` of codes
/// against one row, in the way that is faster now; 8 bits have one that always
/// is.
template <int kBits, class Run>
[[gnu::always_inline]] inline void in_the_faster_way(Paces& paces,
                                                     int64_t begin,
                                                     int64_t end,
                                                     int64_t tile_bytes,
                                                     const Run& run) {
  if constexpr (kBits == 8) {
    each_tiles<kBits, Streams<kBits>>(begin, end, run);
  } else {
    const int64_t bytes = (end - begin) * tile_bytes;
    const bool streamed = bytes >= kLeastStreamed;
    Pace& pace = streamed ? paces.streamed : paces.single;
    const int way = pace.choose();
    const uint64_t start = __rdtsc();
    if (way == 1) {
      each_tiles<kBits, TwoSteps<kBits>>(begin, end, run);
    } else if (streamed) {
      each_tiles<kBits, Streams<kBits>>(begin, end, run);
    } else {
      each_tiles<kBits, OneStream<kBits>>(begin, end, run);
    }
    pace.took(way, bytes, __rdtsc() - start);
  }
}

}  // namespace
}  // namespace mantissa::kernels
