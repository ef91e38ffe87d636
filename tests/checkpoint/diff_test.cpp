#include "checkpoint/diff.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "support/memory_source.h"
#include "support/torchao_source.h"

namespace mantissa {
namespace {

using support::encode_as;
using support::MemorySource;
using support::smooth_weight;
using support::TorchaoSource;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

HostTensor floats(std::vector<float> values) {
  HostTensor tensor(DType::Float32, {static_cast<std::int64_t>(values.size())});
  std::ranges::copy(values, tensor.as<float>());
  return tensor;
}

DiffReport diff_of(const CheckpointSource& a, const CheckpointSource& b) {
  return diff(LogicalCheckpoint(a, TensorNames::Loading),
              LogicalCheckpoint(b, TensorNames::Loading),
              2);
}

TensorDiff diff_of(const HostTensor& a, const HostTensor& b) {
  MemorySource left;
  MemorySource right;
  left.add("w", a);
  right.add("w", b);
  const DiffReport report = diff_of(left, right);
  EXPECT_EQ(report.tensors.size(), 1U);
  return report.tensors.at(0);
}

TEST(Diff, FollowsTheFormulas) {
  const TensorDiff d = diff_of(floats({3, -4, 0, 1}), floats({3, -2, 0, 1.5}));
  EXPECT_EQ(d.values, 4);
  EXPECT_EQ(d.differing, 2);
  EXPECT_DOUBLE_EQ(d.signal, 26);
  EXPECT_DOUBLE_EQ(d.noise, 4.25);
  EXPECT_DOUBLE_EQ(d.sqnr(), 10 * std::log10(26 / 4.25));
  EXPECT_DOUBLE_EQ(d.cosine, 18.5 / std::sqrt(26.0) / std::sqrt(15.25));
  EXPECT_EQ(d.max_error, 2);
  EXPECT_EQ(d.max_at, 1);
}

TEST(Diff, EqualTensorsAreExact) {
  const HostTensor w = smooth_weight({700, 301}, 1);
  const TensorDiff d = diff_of(w, w);
  EXPECT_EQ(d.values, 700 * 301);
  EXPECT_EQ(d.differing, 0);
  EXPECT_EQ(d.sqnr(), kInf);
  EXPECT_EQ(d.cosine, 1);
  EXPECT_EQ(diff_of(floats({0, -0.0F}), floats({-0.0F, 0})).differing, 0);
}

TEST(Diff, FindsTheLastValueOfALargeTensor) {
  const HostTensor a = smooth_weight({700, 301}, 1);
  HostTensor b = smooth_weight({700, 301}, 1);
  b.as<float>()[b.numel() - 1] += 1;
  const TensorDiff d = diff_of(a, b);
  EXPECT_EQ(d.differing, 1);
  EXPECT_EQ(d.max_at, a.numel() - 1);
}

TEST(Diff, ZerosAgainstValues) {
  const TensorDiff lost = diff_of(floats({1, 2}), floats({0, 0}));
  EXPECT_EQ(lost.cosine, 0);
  EXPECT_EQ(lost.sqnr(), 0);
  EXPECT_EQ(diff_of(floats({0}), floats({1})).sqnr(), -kInf);
}

TEST(Diff, NonfinitePairs) {
  EXPECT_EQ(diff_of(floats({kNan, kInf, 1}), floats({kNan, kInf, 1})).sqnr(),
            kInf);
  const TensorDiff d =
      diff_of(floats({kNan, kInf, kInf, 1, 2}), floats({0, -kInf, 5, 1, 3}));
  EXPECT_EQ(d.nonfinite, 3);
  EXPECT_EQ(d.differing, 4);
  EXPECT_EQ(d.max_error, 1);
  EXPECT_EQ(d.sqnr(), -kInf);
}

TEST(Diff, AcrossDtypes) {
  const HostTensor w = smooth_weight({4, 4}, 0);
  const TensorDiff d = diff_of(w, converted(w.view(), DType::BFloat16));
  EXPECT_EQ(d.stored_a, "F32");
  EXPECT_EQ(d.stored_b, "BF16");
  EXPECT_GT(d.sqnr(), 45);
  EXPECT_LT(d.sqnr(), 65);
}

TEST(Diff, WorstFirstAndWhatIsMissing) {
  MemorySource a;
  MemorySource b;
  a.add("good", floats({1, 1}))
      .add("bad", floats({1, 1}))
      .add("gone", floats({1}))
      .add("shape", floats({1}))
      .add("same", floats({5}))
      .add("complex", HostTensor(DType::Complex64, {2}));
  b.add("good", floats({1, 1.01F}))
      .add("bad", floats({1, 0}))
      .add("new", floats({1}))
      .add("shape", floats({1, 2}))
      .add("same", floats({5}))
      .add("complex", HostTensor(DType::Complex64, {2}));
  const DiffReport report = diff_of(a, b);
  std::vector<std::string> names;
  for (const auto& tensor : report.tensors) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("bad", "good", "same"));
  EXPECT_EQ(report.equal(), 1);
  EXPECT_THAT(report.only_a, ElementsAre("gone"));
  EXPECT_THAT(report.only_b, ElementsAre("new"));
  ASSERT_EQ(report.incomparable.size(), 2U);
  EXPECT_EQ(report.incomparable[0].why, "shapes [1] and [2]");
  EXPECT_THAT(report.incomparable[1].why, testing::HasSubstr("complex"));
  EXPECT_NEAR(report.total_sqnr(), 10 * std::log10(29 / 1.0001), 1e-6);
}

TEST(Diff, IndicesDoNotCountInTheTotal) {
  HostTensor ids(DType::Int64, {4});
  ids.as<std::int64_t>()[3] = 1000;
  MemorySource a;
  MemorySource b;
  a.add("w", floats({1, 1})).add("ids", ids);
  b.add("w", floats({1, 0})).add("ids", ids);
  EXPECT_DOUBLE_EQ(diff_of(a, b).total_sqnr(), 10 * std::log10(2.0));
}

TEST(Diff, DecodesTorchaoTensors) {
  const HostTensor w = smooth_weight({16, 64}, 0);
  const EncodedTensor encoded = encode_as("int4_weight_only:group_size=32", w);
  MemorySource a;
  a.add("m.weight", w);
  TorchaoSource b;
  b.add("m.weight", encoded);
  const DiffReport report = diff_of(a, b.source);
  ASSERT_EQ(report.tensors.size(), 1U);
  EXPECT_EQ(report.tensors[0].stored_b, "Int4Tensor");
  const TensorDiff expected = diff_of(w, encoded.decode());
  EXPECT_EQ(report.tensors[0].noise, expected.noise);
  EXPECT_GT(report.tensors[0].sqnr(), 15);
  EXPECT_LT(report.tensors[0].sqnr(), 40);
}

TEST(Diff, RefusesMalformedTensors) {
  MemorySource a;
  a.add("m._weight_qdata", HostTensor(DType::Int8, {2, 2}))
      .set_metadata({{"tensor_names", R"(["m.weight"])"},
                     {"m.weight", R"({"_type": "StrangeTensor", "_data": {},
                         "_tensor_data_names": ["qdata"]})"}});
  const MemorySource b;
  for (const bool first : {true, false}) {
    try {
      first ? diff_of(a, b) : diff_of(b, a);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Input);
      EXPECT_THAT(error.what(), testing::HasSubstr("StrangeTensor"));
    }
  }
}

TEST(Diff, FusesExpertsUnderTheirLoadingNames) {
  const std::string config =
      R"({"architectures": ["MixtralForCausalLM"], "model_type": "mixtral",
          "num_local_experts": 2, "tie_word_embeddings": false})";
  const std::string moe = "model.layers.0.block_sparse_moe.experts.";
  MemorySource a(config);
  HostTensor fused(DType::Float32, {2, 8, 8});
  for (int e = 0; e < 2; ++e) {
    const std::string expert = moe + std::to_string(e);
    const HostTensor gate = smooth_weight({4, 8}, e);
    const HostTensor up = smooth_weight({4, 8}, e + 10);
    a.add(expert + ".w1.weight", gate)
        .add(expert + ".w2.weight", smooth_weight({8, 4}, e + 20))
        .add(expert + ".w3.weight", up);
    std::copy_n(gate.as<float>(), 32, fused.as<float>() + e * 64);
    std::copy_n(up.as<float>(), 32, fused.as<float>() + e * 64 + 32);
  }
  MemorySource b;
  b.add("model.layers.0.mlp.experts.gate_up_proj", fused);
  const DiffReport report = diff_of(a, b);
  ASSERT_EQ(report.tensors.size(), 1U);
  EXPECT_EQ(report.tensors[0].differing, 0);
  EXPECT_EQ(report.tensors[0].values, 128);
  EXPECT_THAT(report.only_a,
              ElementsAre("model.layers.0.mlp.experts.down_proj"));
  EXPECT_THAT(report.only_b, IsEmpty());
}

}  // namespace
}  // namespace mantissa
