#pragma once

#include <cstdint>
#include <span>

#include <gtest/gtest.h>

#include "kernels/guarded_bytes.h"
#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// What a row says that it needs for one thread, and no byte more.
template <class Kernel, class Problem>
class GuardedWorkspace {
 public:
  GuardedWorkspace(const Kernel& kernel, const Problem& problem)
      : bytes_(static_cast<std::size_t>(kernel.workspace_bytes(problem, 1))) {}
  void* data() const { return bytes_.data(); }

 private:
  GuardedBytes bytes_;
};

/// Of any thread, however many rows, beside rows that it keeps whole.
inline constexpr std::int64_t kMostWorkspace = 384 << 10;

/// A row of a table says for any number of rows of x what LinearLowbitTiles
/// asks for, `most` bytes at most.
template <class Kernel, class Problem>
void expect_workspace(const Kernel& kernel,
                      Problem problem,
                      std::int64_t most = kMostWorkspace) {
  std::int64_t before = 0;
  for (const std::int64_t m :
       {1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 256, 257, 512, 513, 100000}) {
    problem.m = m;
    const std::int64_t bytes = kernel.workspace_bytes(problem, 1);
    EXPECT_EQ(bytes % 64, 0) << kernel.name << " m " << m;
    EXPECT_GE(bytes, before) << kernel.name << " m " << m;
    EXPECT_LE(bytes, most) << kernel.name << " m " << m;
    EXPECT_EQ(kernel.workspace_bytes(problem, 3), 3 * bytes) << kernel.name;
    before = bytes;
  }
}

/// Every row does; the last, the reference, needs nothing.
template <class Kernel, class Problem>
void expect_workspaces(std::span<const Kernel> kernels,
                       const Problem& problem) {
  for (const Kernel& kernel : kernels) expect_workspace(kernel, problem);
  Problem many = problem;
  many.m = 100000;
  EXPECT_EQ(kernels.back().workspace_bytes(many, 1), 0);
}

}  // namespace mantissa::kernels
