#include "checkpoint/inspect.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/primitives/convert.h>

#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using testing::ElementsAre;

std::vector<std::string> names(const LogicalCheckpoint& checkpoint) {
  std::vector<std::string> names;
  for (const auto& tensor : checkpoint.tensors()) names.push_back(tensor.name);
  return names;
}

TEST(NaturalOrder, ComparesNumbersAsNumbers) {
  EXPECT_TRUE(natural_less("layers.2.w", "layers.10.w"));
  EXPECT_FALSE(natural_less("layers.10.w", "layers.2.w"));
  EXPECT_TRUE(natural_less("a", "a.b"));
  EXPECT_TRUE(natural_less("a.1", "a.b"));
  EXPECT_TRUE(natural_less("x01", "x1"));
  EXPECT_FALSE(natural_less("x1", "x01"));
  EXPECT_FALSE(natural_less("same.7", "same.7"));
  EXPECT_TRUE(natural_less("a.99999999999999999998", "a.99999999999999999999"));
  const MemorySource source = MemorySource()
                                  .add("l.10.w", DType::Int8, {1})
                                  .add("l.9.w", DType::Int8, {1})
                                  .add("head", DType::Int8, {1});
  EXPECT_THAT(names(LogicalCheckpoint(source, TensorNames::Stored)),
              ElementsAre("head", "l.9.w", "l.10.w"));
}

TEST(TensorGroups, FoldLayersThatAreAlike) {
  MemorySource source;
  for (int layer = 0; layer < 12; ++layer) {
    const std::string name = "m.layers." + std::to_string(layer);
    const DType dtype = layer == 5 ? DType::Float32 : DType::BFloat16;
    source.add(name + ".w", dtype, {2, 2});
    for (const char* expert : {".e.0.w", ".e.1.w"}) {
      source.add(name + expert, DType::BFloat16, {2, 2});
    }
  }
  source.add("m.norm", DType::BFloat16, {2}).add("1", DType::Int8, {});
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  std::vector<std::string> patterns;
  std::size_t members = 0;
  for (const NameGroup& group : group_tensors(checkpoint.tensors())) {
    patterns.push_back(group.pattern);
    members += group.members.size();
  }
  EXPECT_THAT(patterns,
              ElementsAre("1",
                          "m.layers.[0-11].e.[0-1].w",
                          "m.layers.[0-4,6-11].w",
                          "m.layers.5.w",
                          "m.norm"));
  EXPECT_EQ(members, checkpoint.tensors().size());
}

TEST(TensorStats, CountsWhatIsThere) {
  HostTensor tensor(DType::Float32, {2, 4});
  const float values[] = {-3,
                          0,
                          -0.0F,
                          2.5F,
                          1,
                          std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(),
                          -1};
  std::copy(std::begin(values), std::end(values), tensor.as<float>());
  MemorySource source;
  source.add("w", converted(tensor.view(), DType::BFloat16))
      .add("empty", HostTensor(DType::Float32, {0, 3}))
      .add("scalar", HostTensor(DType::Int64, {}));
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  const TensorStats stats = tensor_stats(checkpoint, *checkpoint.find("w"));
  EXPECT_EQ(stats.min, -3);
  EXPECT_EQ(stats.max, 2.5);
  EXPECT_EQ(stats.absmax, 3);
  EXPECT_EQ(stats.zeros, 2);
  EXPECT_EQ(stats.nonfinite, 2);
  EXPECT_EQ(tensor_stats(checkpoint, *checkpoint.find("empty")).absmax, 0);
  EXPECT_EQ(tensor_stats(checkpoint, *checkpoint.find("scalar")).zeros, 1);
}

TEST(TensorStats, CoversEveryRowOfALargeTensor) {
  HostTensor tensor(DType::Float32, {3000, 130});
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.as<float>()[i] = 1;
  }
  tensor.as<float>()[tensor.numel() - 1] = 7;
  tensor.as<float>()[0] = -8;
  MemorySource source;
  source.add("w", tensor);
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  const TensorStats stats = tensor_stats(checkpoint, *checkpoint.find("w"));
  EXPECT_EQ(stats.max, 7);
  EXPECT_EQ(stats.min, -8);
  EXPECT_EQ(stats.zeros, 0);
}

TEST(CheckpointTotals, SumUp) {
  MemorySource source;
  source.add("a.w", DType::BFloat16, {4, 8}).add("b.w", DType::Float32, {4});
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  const CheckpointTotals totals = checkpoint_totals(checkpoint.tensors());
  EXPECT_EQ(totals.tensors, 2);
  EXPECT_EQ(totals.values, 36);
  EXPECT_EQ(totals.bytes, 80);
  EXPECT_EQ(totals.quantized_tensors, 0);
  EXPECT_EQ(totals.tensors_by_type.at("F32"), 1);
  EXPECT_EQ(quantization_scheme(checkpoint), "not quantized");
  EXPECT_DOUBLE_EQ(bits_per_value(80, 36), 640.0 / 36);
}

TEST(LogicalCheckpoint, ListsTorchaoTensorsWithProblems) {
  MemorySource source;
  source.add("a._weight_qdata", DType::Int8, {2, 4})
      .add("a.bias", DType::BFloat16, {2})
      .add("stray", DType::Int8, {1})
      .set_metadata({{"tensor_names", R"(["a.weight", "a.bias"])"},
                     {"a.bias", R"({"_type": "Tensor"})"},
                     {"a.weight",
                      R"({"_type": "StrangeTensor", "_data": {},
                          "_tensor_data_names": ["qdata"]})"}});
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  EXPECT_THAT(names(checkpoint), ElementsAre("a.bias", "a.weight", "stray"));
  EXPECT_EQ(checkpoint.find("a.weight")->stored, "StrangeTensor");
  EXPECT_TRUE(checkpoint.find("a.weight")->quantized);
  EXPECT_EQ(quantization_scheme(checkpoint), "torchao (StrangeTensor)");
}

}  // namespace
}  // namespace mantissa
