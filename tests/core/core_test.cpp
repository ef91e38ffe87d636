#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include <mantissa/core.h>

#include "core/suggest.h"

namespace mantissa {
namespace {

TEST(DTypeTest, NamesRoundTrip) {
  for (int i = 0; i <= static_cast<int>(DType::UInt7); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(name(dtype)), dtype);
    if (!safetensors_name(dtype).empty()) {
      EXPECT_EQ(dtype_from_safetensors(safetensors_name(dtype)), dtype);
    }
  }
  EXPECT_EQ(dtype_from_name("torch.bfloat16"), DType::BFloat16);
  EXPECT_EQ(dtype_from_name("float12"), std::nullopt);
  EXPECT_EQ(dtype_from_safetensors(""), std::nullopt);
}

TEST(DTypeTest, IntegerBounds) {
  EXPECT_EQ(integer_range(DType::Int1).min, -1);
  EXPECT_EQ(integer_range(DType::Int1).max, 0);
  EXPECT_EQ(integer_range(DType::UInt4).max, 15);
  EXPECT_EQ(integer_range(DType::Int8).min, -128);
  EXPECT_THROW(integer_range(DType::BFloat16), Error);
}

TEST(TensorViewTest, CheckedSizes) {
  EXPECT_EQ(numel({2, 3, 4}), 24);
  EXPECT_EQ(numel({}), 1);
  EXPECT_EQ(numel({3, 0}), 0);
  EXPECT_THROW(numel({std::int64_t{1} << 40, std::int64_t{1} << 40}), Error);
  EXPECT_THROW(numel({-1}), Error);
  EXPECT_EQ(byte_count(DType::Float4E2M1, {3, 4}), 6);
  EXPECT_THROW(byte_count(DType::Float4E2M1, {3}), Error);
}

TEST(GranularityTest, BlockSizes) {
  EXPECT_EQ(block_size(PerTensor{}, {4, 6}), (Shape{4, 6}));
  EXPECT_EQ(block_size(PerAxis{0}, {4, 6}), (Shape{1, 6}));
  EXPECT_EQ(block_size(PerAxis{-1}, {4, 6}), (Shape{4, 1}));
  EXPECT_EQ(block_size(PerRow{}, {2, 4, 6}), (Shape{1, 1, 6}));
  EXPECT_EQ(block_size(PerRow{0}, {4, 6}), (Shape{4, 1}));
  EXPECT_EQ(block_size(PerGroup{3}, {4, 6}), (Shape{1, 3}));
  EXPECT_EQ(block_size(PerBlock{{2, 3}}, {5, 4, 6}), (Shape{1, 2, 3}));
  EXPECT_THROW(block_size(PerGroup{4}, {4, 6}), Error);
  EXPECT_THROW(block_size(PerBlock{{1, 2, 3}}, {4, 6}), Error);
  EXPECT_THROW(block_size(PerAxis{2}, {4, 6}), Error);
}

TEST(EnumsTest, BothSpellingsAndAliases) {
  EXPECT_EQ(enum_from_spelling<Int4PackingFormat>("tile_packed_to_4d"),
            Int4PackingFormat::TilePackedTo4d);
  EXPECT_EQ(enum_from_spelling<Int4PackingFormat>("TILE_PACKED_TO_4D"),
            Int4PackingFormat::TilePackedTo4d);
  EXPECT_EQ(enum_from_spelling<Float8PackingFormat>("SPARSE_CUTLASS"),
            Float8PackingFormat::Sparse2dData2dMetadata);
  EXPECT_EQ(enum_from_spelling<MappingType>(""), std::nullopt);
  EXPECT_EQ(spelling(MappingType::Asymmetric).member, "ASYMMETRIC");
  EXPECT_EQ(spelling(KernelPreference::Auto).type, "KernelPreference");
}

TEST(WorkerPoolTest, RunsEachTaskOnceAndRethrows) {
  for (const int workers : {1, 2, 8}) {
    std::vector<std::atomic<int>> counts(100);
    WorkerPool(workers).run(100, [&](std::int64_t i, int worker) {
      EXPECT_LT(worker, workers);
      ++counts[static_cast<std::size_t>(i)];
    });
    for (const auto& count : counts) EXPECT_EQ(count, 1);
  }
  EXPECT_THROW(WorkerPool(2).run(10,
                                 [](std::int64_t i, int) {
                                   if (i == 3) {
                                     throw Error(ErrorKind::Input, "bad");
                                   }
                                 }),
               Error);
  EXPECT_THROW(WorkerPool(0), Error);
}

TEST(SuggestTest, NearestName) {
  const std::vector<std::string> names = {"int8_weight_only",
                                          "int4_weight_only"};
  EXPECT_EQ(nearest_name("int8_weight_onyl", names), "int8_weight_only");
  EXPECT_EQ(nearest_name("int4_weigth_only", names), "int4_weight_only");
  EXPECT_EQ(nearest_name("nf4", names), "");
  // Two letters that changed places are one slip, also of a short word.
  EXPECT_EQ(nearest_name("W4A61", {"W8A8", "W4A16", "W4A8"}), "W4A16");
  EXPECT_EQ(nearest_name("ba", {"ab"}), "ab");
  EXPECT_EQ(nearest_name("cab", {"abc"}), "");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace mantissa
