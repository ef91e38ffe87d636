#pragma once

// How codes of the runtime layout come from memory for few rows of x, which are
// bound by that. Only C headers here: instruction-set files include this.
#include <immintrin.h>

#include "kernels/cpu/lowbit_units_avx512.h"
#include "kernels/cpu/pace.h"

namespace mantissa::kernels {
namespace {

/// Where the codes of a range end, and how far behind that those lie which the
/// thread reads next. Addresses are numbers here: they are of two weights.
struct RangeEnd {
  uintptr_t end;
  uintptr_t gap;

  RangeEnd(const uint8_t* codes,
           int64_t tile_bytes,
           const LinearLowbitTiles& tiles)
      : end(reinterpret_cast<uintptr_t>(codes) +
            static_cast<uintptr_t>(tiles.end * tile_bytes)),
        gap(tiles.next == nullptr
                ? 0
                : reinterpret_cast<uintptr_t>(tiles.next) - end) {}
};

/// What is read kBytes behind the chunks of a tile, from its first to its last.
template <int kBits, int64_t kBytes>
class Ahead {
 public:
  Ahead(const RangeEnd& range, const uint8_t* tile) : gap_(range.gap) {
    constexpr uintptr_t kChunk = kBits * kUnitBytes;
    const uintptr_t at = reinterpret_cast<uintptr_t>(tile) + kBytes;
    const uintptr_t left = at < range.end ? range.end - at : 0;
    turn_ = tile + (left + kChunk - 1) / kChunk * kChunk;
  }
  const uint8_t* of(const uint8_t* chunk) {
    if (chunk == turn_) ahead_ += gap_;
    return reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(chunk) +
                                            ahead_);
  }

 private:
  uintptr_t gap_;
  uintptr_t ahead_ = kBytes;
  const uint8_t* turn_;  // from which on the range has no more
};

// A way says how many tiles are read at once, from places far apart, and what
// of the codes behind a chunk is fetched. The processor fetches ahead for each
// stream on its own, so that more of them have more lines under way. Counts and
// distances were measured on a Zen 4.

/// One stream whose codes are fetched to the first cache.
template <int kBits>
class OneStream {
 public:
  static constexpr int kTiles = 1;

  OneStream(const RangeEnd& range, const uint8_t* tile) : ahead_(range, tile) {}

  void fetch(const uint8_t* chunk) {
    fetch_chunk<kBits, Fetch::First>(ahead_.of(chunk));
  }

 private:
  Ahead<kBits, kAhead> ahead_;
};

/// Codes fetched to the second cache and from there to the first: fastest where
/// memory answers slowly, beside other work on the machine, and for short
/// ranges.
template <int kBits>
class TwoSteps {
 public:
  static constexpr int kTiles = 1;

  TwoSteps(const RangeEnd& range, const uint8_t* tile)
      : second_(range, tile), first_(range, tile) {}

  void fetch(const uint8_t* chunk) {
    fetch_chunk<kBits, Fetch::Second>(second_.of(chunk));
    fetch_chunk<kBits, Fetch::First>(first_.of(chunk));
  }

 private:
  Ahead<kBits, 2 * kAhead> second_;
  Ahead<kBits, kAhead> first_;
};

/// Several streams: fastest with long ones, where memory answers quickly, and
/// with 8 bits always; with 2 and 3 bits where it answers slowly too.
template <int kBits>
class Streams {
 public:
  static constexpr int kTiles = kBits == 4 ? 4 : 2;

  Streams(const RangeEnd&, const uint8_t*) {}

  void fetch(const uint8_t* chunk) const {
    if constexpr (kBits == 2 || kBits == 3) {
      fetch_ahead<kBits, Fetch::Second>(chunk);
      fetch_chunk<kBits, Fetch::First>(chunk + kAhead / 4);
    } else if constexpr (kBits == 5 || kBits == 7) {
      fetch_ahead<kBits, Fetch::Second>(chunk);
      fetch_chunk<kBits, Fetch::First>(chunk + kAhead / 2);
    } else if constexpr (kBits == 6) {
      fetch_chunk<kBits, Fetch::First>(chunk + kAhead / 4);
    } else if constexpr (kBits == 8) {
      fetch_line<Fetch::Second>(chunk + kAhead);
      fetch_line<Fetch::Second>(chunk + kAhead + 4 * kUnitBytes);
    }
  }
};

/// Four streams of 8 bits, which share each value of x too: fastest for 4 rows
/// with long ranges (1.16 to 1.39 times the second cache with one thread, 0.90
/// to 1.12 with two; with two streams no faster).
template <int kBits>
class FourStreams : public Streams<kBits> {
 public:
  static constexpr int kTiles = 4;

  using Streams<kBits>::Streams;
};

/// For 2 rows and more (int4 g128, 4 rows: 0.60 -> 0.78 of the vpdpbusd peak;
/// int8, 16 rows: 0.78 -> 0.91).
template <int kBits>
class SecondCache {
 public:
  static constexpr int kTiles = 1;

  SecondCache(const RangeEnd&, const uint8_t*) {}

  void fetch(const uint8_t* chunk) const {
    fetch_ahead<kBits, Fetch::Second>(chunk);
  }
};

/// Names a way.
template <class Way>
struct WayTag {
  using Type = Way;
};

/// Calls run(WayTag<Way>, tile, apart) for tiles [begin, end): Way::kTiles
/// tiles from `tile` on, `apart` tiles from one to the next, and those that are
/// left alone.
template <int kBits, class Way, class Run>
[[gnu::always_inline]] inline void each_tiles(const LinearLowbitTiles& tiles,
                                              const Run& run) {
  const int64_t apart = (tiles.end - tiles.begin) / Way::kTiles;
  for (int64_t i = 0; i < apart; ++i)
    run(WayTag<Way>{}, tiles.begin + i, apart);
  for (int64_t i = tiles.begin + apart * Way::kTiles; i < tiles.end; ++i) {
    run(WayTag<OneStream<kBits>>{}, i, 0);
  }
}

/// Bytes from which on ranges measure their ways: shorter ones say too little
/// of each, and begin too often for streams.
constexpr int64_t kMeasuredRange = 1 << 20;

/// Calls run(WayTag<Way>, tile, apart) for the tiles, of `tile_bytes` of codes,
/// against one row, in the way that is fastest now.
template <int kBits, class Run>
[[gnu::always_inline]] inline void in_the_fastest_way(
    Pace& pace,
    const LinearLowbitTiles& tiles,
    int64_t tile_bytes,
    const Run& run) {
  const int64_t bytes = (tiles.end - tiles.begin) * tile_bytes;
  if constexpr (kBits == 8) {
    each_tiles<kBits, Streams<kBits>>(tiles, run);
  } else if (bytes < kMeasuredRange) {
    each_tiles<kBits, TwoSteps<kBits>>(tiles, run);
  } else {
    const int way = pace.choose();
    const uint64_t start = __rdtsc();
    switch (way) {
      case 0:
        each_tiles<kBits, OneStream<kBits>>(tiles, run);
        break;
      case 1:
        each_tiles<kBits, TwoSteps<kBits>>(tiles, run);
        break;
      default:
        each_tiles<kBits, Streams<kBits>>(tiles, run);
    }
    pace.took(way, bytes, __rdtsc() - start);
  }
}

}  // namespace
}  // namespace mantissa::kernels
