#include "support/memory_source.h"

#include <numeric>

#include <gtest/gtest.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

TEST(MemorySource, DeliversRowRanges) {
  HostTensor tensor(DType::Int32, {2, 2, 3});
  std::iota(tensor.as<std::int32_t>(), tensor.as<std::int32_t>() + 12, 0);
  support::MemorySource source;
  source.add("a.weight", tensor).add("b.weight", DType::BFloat16, {4, 4});
  ASSERT_EQ(source.tensors().size(), 2U);
  EXPECT_EQ(source.tensors()[0].stored_type, "I32");
  EXPECT_EQ(source.tensors()[1].stored_bytes, 32);
  std::vector<std::int32_t> rows(6);
  source.read_rows(0, 1, 2, std::as_writable_bytes(std::span(rows)));
  EXPECT_EQ(rows, (std::vector<std::int32_t>{3, 4, 5, 6, 7, 8}));
  std::vector<std::byte> bytes(8);
  EXPECT_THROW(source.read_rows(1, 0, 1, bytes), Error);
  EXPECT_THROW(source.read_rows(0, 4, 1, bytes), Error);
}

}  // namespace
}  // namespace mantissa
