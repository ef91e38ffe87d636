#include "torch/ops/on_threads.h"

#include <ATen/Parallel.h>

namespace mantissa {

std::int64_t thread_count() { return at::get_num_threads(); }

void on_threads(std::int64_t threads,
                const std::function<void(std::int64_t)>& part) {
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) part(t);
  });
}

}  // namespace mantissa
