#include "torch/ops/embedding_lowbit.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/ops/linear_lowbit.h"
#include "torch/tensor/lowbit_rule.h"

namespace mantissa {
namespace {

at::Tensor quantized(DType dtype, DType width, bool zeros) {
  torch::manual_seed(1);
  const auto type = dtype == DType::BFloat16 ? at::kBFloat16 : at::kFloat;
  return to_quantized_tensor(
      torch::randn({1000, 160}).to(type),
      make_intx_encoding({1000, 160},
                         dtype,
                         {.target_dtype = width,
                          .granularity = PerGroup{32},
                          .mapping_type = zeros ? MappingType::Asymmetric
                                                : MappingType::Symmetric}));
}

TEST(EmbeddingLowbitOpTest, RowsAreThoseOfTheWeightOnAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  for (const DType width : {DType::Int3, DType::Int4, DType::Int8}) {
    for (const bool zeros : {false, true}) {
      const at::Tensor w = quantized(DType::Float32, width, zeros);
      const auto packed = pack_lowbit_weight(encoding_of(w), fields_of(w));
      const at::Tensor indices = torch::randint(1000, {7, 311});
      const at::Tensor want = mantissa::dequantize(w)
                                  .index_select(0, indices.flatten())
                                  .reshape({7, 311, 160});
      for (const int count : {1, 2}) {
        at::set_num_threads(count);
        for (const auto type : {at::kLong, at::kInt}) {
          const at::Tensor got =
              embedding_lowbit(*packed, indices.to(type), at::kFloat);
          EXPECT_TRUE(torch::equal(got, want));
        }
        EXPECT_TRUE(
            torch::equal(embedding_lowbit(*packed, indices, at::kBFloat16),
                         want.to(at::kBFloat16)));
        // Strided indices.
        EXPECT_TRUE(
            torch::equal(embedding_lowbit(*packed, indices.t(), at::kFloat),
                         want.transpose(0, 1)));
      }
    }
  }
  at::set_num_threads(threads);
}

// Whatever the dtypes, the rows of the dequantized weight.
void expect_dequantized_rows(const at::Tensor& stored) {
  const at::Tensor indices = torch::randint(1000, {50});
  const at::Tensor w = packed_weight(stored, Int8Compute::Float);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor cast = w.to(type);
    const at::Tensor got = torch::embedding(cast, indices);
    EXPECT_EQ(got.scalar_type(), type);
    EXPECT_TRUE(
        torch::equal(got, mantissa::dequantize(cast).index_select(0, indices)))
        << encoding_of(stored)->format_name() << " of " << stored.scalar_type()
        << " as " << type;
  }
}

TEST(EmbeddingLowbitOpTest, RowsOfConvertedWeightsAreRoundedAsDequantizing) {
  for (const DType stored : {DType::Float32, DType::BFloat16}) {
    expect_dequantized_rows(quantized(stored, DType::Int4, true));
  }
}

// A float zero point makes a sum, rounded once to the weight's dtype.
TEST(EmbeddingLowbitOpTest, RowsWithFloatZeroPointsAreThoseOfDequantizing) {
  torch::manual_seed(2);
  for (const auto& [type, stored] : {std::pair{at::kFloat, DType::Float32},
                                     {at::kBFloat16, DType::BFloat16},
                                     {at::kHalf, DType::Float16}}) {
    const at::Tensor values = torch::randn({1000, 160}).add_(3).to(type);
    expect_dequantized_rows(to_quantized_tensor(
        values, make_int4_encoding({1000, 160}, stored, {.group_size = 32})));
  }
}

TEST(EmbeddingLowbitOpTest, RowsOfFloat8AreThoseOfDequantizing) {
  torch::manual_seed(3);
  for (const DType code : {DType::Float8E4M3FN, DType::Float8E5M2}) {
    expect_dequantized_rows(to_quantized_tensor(
        torch::randn({1000, 160}),
        make_float8_encoding({1000, 160},
                             DType::Float32,
                             {.float8_dtype = code, .granularity = PerRow{}})));
  }
}

TEST(EmbeddingLowbitOpTest, IndicesOutsideAreNamed) {
  const at::Tensor w = quantized(DType::Float32, DType::Int4, false);
  const auto packed = pack_lowbit_weight(encoding_of(w), fields_of(w));
  for (const auto type : {at::kLong, at::kInt}) {
    for (const std::int64_t bad : {1000, -1}) {
      try {
        embedding_lowbit(
            *packed,
            torch::tensor(std::vector<std::int64_t>{3, bad}).to(type),
            at::kFloat);
        FAIL() << bad;
      } catch (const c10::IndexError& e) {
        EXPECT_THAT(
            e.what(),
            ::testing::HasSubstr("embedding: index " + std::to_string(bad) +
                                 " is outside [0, 1000)"));
      }
    }
  }
}

}  // namespace
}  // namespace mantissa
