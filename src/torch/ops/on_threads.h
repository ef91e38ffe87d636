#pragma once

#include <cstdint>
#include <functional>

namespace mantissa {

/// Threads of ATen's pool that a call of on_threads() may use.
std::int64_t thread_count();

/// part(t) for t in [0, threads), from the threads of ATen's pool; returns when
/// all have returned. Exceptions come through.
void on_threads(std::int64_t threads,
                const std::function<void(std::int64_t)>& part);

}  // namespace mantissa
