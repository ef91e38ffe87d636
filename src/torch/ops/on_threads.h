#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace mantissa {

/// Threads of ATen's pool that a call of on_threads() may use.
std::int64_t thread_count();

/// A part [begin, end) of what threads share.
struct Share {
  std::int64_t begin;
  std::int64_t end;
};

/// The share of thread `t` of [0, count).
inline Share share_of(std::int64_t count,
                      std::int64_t t,
                      std::int64_t threads) {
  return {count * t / threads, count * (t + 1) / threads};
}

/// run(i, part) for each of `ranges` ranges, of size(i) units and end to end,
/// that has some in `mine`; `part` counts from where range i begins.
template <class Size, class Run>
void for_overlaps(std::size_t ranges,
                  Share mine,
                  const Size& size,
                  const Run& run) {
  std::int64_t first = 0;
  for (std::size_t i = 0; i < ranges; ++i) {
    const std::int64_t count = size(i);
    const Share part = {std::clamp<std::int64_t>(mine.begin - first, 0, count),
                        std::clamp<std::int64_t>(mine.end - first, 0, count)};
    if (part.begin < part.end) run(i, part);
    first += count;
  }
}

/// part(t) for t in [0, threads), from the threads of ATen's pool; returns when
/// all have returned. Exceptions come through.
void on_threads(std::int64_t threads,
                const std::function<void(std::int64_t)>& part);

}  // namespace mantissa
