#include "torch/ops/grouped_linear_lowbit.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/refusal.h"
#include "torch/tensor/lowbit_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::refusal;

std::vector<at::Tensor> experts() {
  torch::manual_seed(5);
  const at::Tensor values = torch::randn({4, 48, 96});
  const Shape shape = {4, 48, 96};
  std::vector<at::Tensor> out;
  for (const auto mapping : {MappingType::Asymmetric, MappingType::Symmetric}) {
    for (const DType width : {DType::Int3, DType::Int4, DType::Int8}) {
      out.push_back(
          to_quantized_tensor(values,
                              make_intx_encoding(shape,
                                                 DType::Float32,
                                                 {.target_dtype = width,
                                                  .granularity = PerGroup{32},
                                                  .mapping_type = mapping})));
    }
  }
  out.push_back(to_quantized_tensor(
      values, make_int4_encoding(shape, DType::Float32, {.group_size = 32})));
  out.push_back(to_quantized_tensor(
      values, make_int8_encoding(shape, DType::Float32, {})));
  return out;
}

const LowbitWeight& packed_of(const at::Tensor& w) {
  return *quantized_impl(w)->state().packed;
}

TEST(GroupedLinearLowbitTest, FieldsOfPackedExpertsComeBack) {
  for (const at::Tensor& w : experts()) {
    ASSERT_EQ(packing_refusal(w, Int8Compute::Group32), "");
    EXPECT_EQ(packing_refusal(w, Int8Compute::Float),
              "experts multiply from their codes with int8 activations only");
    const at::Tensor packed = packed_weight(w, Int8Compute::Group32);
    const auto before = fields_of(w);
    const auto after = fields_of(packed);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(torch::equal(before[i], after[i])) << i;
    }
    EXPECT_TRUE(torch::equal(mantissa::dequantize(w.select(0, 2)),
                             mantissa::dequantize(packed.select(0, 2))));
  }
}

TEST(GroupedLinearLowbitTest, EachExpertAsLinearLowbitToTheBit) {
  const c10::InferenceMode inference;
  const std::vector<std::vector<std::int64_t>> offsets = {
      {3, 3, 10, 11}, {0, 0, 1, 1}, {0, 0, 0, 0}, {2, 4, 6, 9}};
  for (const at::Tensor& w : experts()) {
    for (const Int8Compute compute :
         {Int8Compute::Token, Int8Compute::Group32, Int8Compute::Group64}) {
      const at::Tensor packed = packed_weight(w, compute);
      for (const auto& ends : offsets) {
        for (const auto dtype : {at::kFloat, at::kBFloat16}) {
          const at::Tensor x = torch::randn({11, 96}).to(dtype);
          const at::Tensor y =
              grouped_linear_lowbit(x, packed_of(packed), ends, compute);
          ASSERT_EQ(y.sizes(), (std::vector<std::int64_t>{11, 48}));
          ASSERT_EQ(y.scalar_type(), dtype);
          std::int64_t begin = 0;
          for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
            const at::Tensor alone = packed_weight(
                w.select(0, static_cast<std::int64_t>(e)), compute);
            EXPECT_TRUE(
                torch::equal(y.slice(0, begin, ends[e]),
                             torch::linear(x.slice(0, begin, ends[e]), alone)))
                << e;
          }
          EXPECT_TRUE(torch::equal(y.slice(0, begin),
                                   torch::zeros({11 - begin, 48}).to(dtype)));
        }
      }
    }
  }
}

TEST(GroupedLinearLowbitTest, IsWhatGroupedMmRuns) {
  const c10::InferenceMode inference;
  const at::Tensor w = packed_weight(experts().front(), Int8Compute::Group32);
  const at::Tensor x = torch::randn({9, 96});
  const at::Tensor y = at::_grouped_mm(
      x, w.transpose(-2, -1), torch::tensor({2, 2, 5, 8}, at::kInt));
  const std::vector<std::int64_t> ends = {2, 2, 5, 8};
  EXPECT_TRUE(torch::equal(
      y, grouped_linear_lowbit(x, packed_of(w), ends, Int8Compute::Group32)));
}

// A row with NaN spoils itself alone.
TEST(GroupedLinearLowbitTest, NanStaysInItsRow) {
  const at::Tensor w = packed_weight(experts().front(), Int8Compute::Group32);
  const std::vector<std::int64_t> ends = {1, 2, 3, 6};
  at::Tensor x = torch::randn({6, 96});
  const at::Tensor before =
      grouped_linear_lowbit(x, packed_of(w), ends, Int8Compute::Group32);
  x[4][7] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor after =
      grouped_linear_lowbit(x, packed_of(w), ends, Int8Compute::Group32);
  EXPECT_TRUE(after[4].isnan().all().item<bool>());
  for (const std::int64_t row : {0, 1, 2, 3, 5}) {
    EXPECT_TRUE(torch::equal(before[row], after[row])) << row;
  }
}

TEST(GroupedLinearLowbitTest, RefusesByName) {
  const at::Tensor w = packed_weight(experts().front(), Int8Compute::Group32);
  const auto refused = [&](const at::Tensor& x,
                           const std::vector<std::int64_t>& ends) {
    return refusal([&] {
      grouped_linear_lowbit(x, packed_of(w), ends, Int8Compute::Group32);
    });
  };
  const at::Tensor x = torch::randn({6, 96});
  EXPECT_THAT(refused(x, {1, 2, 6}),
              HasSubstr("offsets: expected 4 offsets, one an expert, got 3"));
  EXPECT_THAT(refused(x, {1, 0, 5, 6}),
              HasSubstr("expected rising offsets up to 6, got 0 for expert 1"));
  EXPECT_THAT(refused(x, {1, 2, 5, 7}), HasSubstr("got 7 for expert 3"));
  EXPECT_THAT(refused(torch::randn({6, 95}), {1, 2, 5, 6}),
              HasSubstr("x: expected last dim 96"));
  const at::Tensor odd =
      to_quantized_tensor(torch::randn({2, 20, 32}),
                          make_int8_encoding({2, 20, 32}, DType::Float32, {}));
  EXPECT_EQ(packing_refusal(odd, Int8Compute::Group32),
            "an expert's rows are no multiple of 16");
}

}  // namespace
}  // namespace mantissa
