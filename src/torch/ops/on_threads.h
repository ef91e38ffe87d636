#pragma once

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

/// part(t) for t in [0, threads), from the threads of ATen's pool; returns when
/// all have returned. Exceptions come through.
void on_threads(std::int64_t threads,
                const std::function<void(std::int64_t)>& part);

}  // namespace mantissa
