#include <atomic>

#include <gtest/gtest.h>

#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>

#include "checkpoint/output_config.h"
#include "checkpoint/pipeline.h"
#include "support/memory_source.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

class CountingSource final : public support::MemorySource {
 public:
  using MemorySource::MemorySource;
  void read_rows(std::size_t index,
                 std::int64_t row,
                 std::int64_t rows,
                 std::span<std::byte> out) const override {
    ++reads;
    MemorySource::read_rows(index, row, rows, out);
  }
  mutable std::atomic<int> reads = 0;
};

// 8 MB are 8 blocks of 1 MiB, whatever the shape says of matrices.
TEST(CopyBlocks, AKeptTensorOfManyMatricesIsReadInBlocks) {
  CountingSource source;
  source.add("ids", HostTensor(DType::Int32, {2'000'000, 1, 1}));
  const RuleSet rules = make_rule_set(parse_config_words("int8_weight_only"));
  PlanRequest request;
  request.rules = &rules;
  request.allow_unknown_names = true;
  const Plan plan = make_plan(source, request);
  const support::TempDir dir;
  run_plan(plan,
           source,
           recorded_config(request, plan),
           {.out = dir.path() / "out"});
  EXPECT_EQ(source.reads, 8);
}

}  // namespace
}  // namespace mantissa
