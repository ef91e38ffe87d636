#include "support/large_checkpoint.h"

#include <chrono>

#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/loading_names.h"
#include "support/cpu_clock.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

using support::LargeCheckpoint;
using support::LargeKind;
using Clock = support::CpuClock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TEST(LargeCheckpoint, OpensAndIsNamedInTime) {
  for (const LargeKind kind : {LargeKind::Dense, LargeKind::Experts}) {
    const support::TempDir dir;
    const LargeCheckpoint what{.kind = kind};
    const std::size_t count = write_large_checkpoint(dir.path(), what);
    ASSERT_GE(count, what.tensors);
    const auto start = Clock::now();
    const auto source = open_checkpoint(dir.path());
    const double opened = seconds_since(start);
    const LoadingNames names = loading_names(*source);
    const double named = seconds_since(start) - opened;
    ASSERT_EQ(source->tensors().size(), count);
    ASSERT_TRUE(names.known);
    std::size_t pieces = 0;
    for (const LoadingTensor& tensor : names.tensors) {
      EXPECT_NE(tensor.role, TensorRole::Unknown) << tensor.name;
      pieces += tensor.pieces.size();
    }
    EXPECT_EQ(pieces, count);
    // A plan of 100,000 tensors may take 2 s; machines are shared.
    EXPECT_LT(opened + named, 4.0) << opened << " s open, " << named;
    RecordProperty("seconds_open", std::to_string(opened));
    RecordProperty("seconds_named", std::to_string(named));
  }
}

}  // namespace
}  // namespace mantissa
