#pragma once

#include <cstdint>
#include <functional>

namespace mantissa {

/// A fixed number of threads that work through numbered tasks.
class WorkerPool {
 public:
  /// `workers` >= 1; throws Error(Usage) otherwise.
  explicit WorkerPool(int workers);

  int workers() const { return workers_; }

  /// Runs task(index, worker) for index 0 .. tasks-1, each once, in rising
  /// order of start. After the first exception no further task starts; it is
  /// rethrown here when all threads have stopped. With one worker everything
  /// runs on the calling thread.
  void run(std::int64_t tasks,
           const std::function<void(std::int64_t index, int worker)>& task);

 private:
  int workers_;
};

/// Processors this process may use, at least 1.
int default_workers();

}  // namespace mantissa
