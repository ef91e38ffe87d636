#include <mantissa/core/worker_pool.h>

#include <sched.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <mantissa/core/error.h>

namespace mantissa {

WorkerPool::WorkerPool(int workers) : workers_(workers) {
  if (workers < 1) {
    throw Error(ErrorKind::Usage,
                "worker pool: expected at least 1 worker, got " +
                    std::to_string(workers));
  }
}

void WorkerPool::run(
    std::int64_t tasks,
    const std::function<void(std::int64_t index, int worker)>& task) {
  std::atomic<std::int64_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto work = [&](int worker) {
    for (;;) {
      const std::int64_t index = next.fetch_add(1);
      if (index >= tasks) return;
      try {
        task(index, worker);
      } catch (...) {
        next.store(tasks);
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int worker = 1; worker < workers_ && worker < tasks; ++worker) {
      threads.emplace_back(work, worker);
    }
    work(0);
  }
  if (failure) std::rethrow_exception(failure);
}

int default_workers() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? static_cast<int>(count) : 1;
}

}  // namespace mantissa
