#include "torch/ops/grouped_linear_lowbit.h"

#include <limits>
#include <vector>

#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/refusal.h"
#include "torch/tensor/experts.h"
#include "torch/tensor/linear_node.h"
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
  out.push_back(
      to_quantized_tensor(values.to(at::kBFloat16),
                          make_int4_tile_packed_encoding(
                              shape, DType::BFloat16, {.group_size = 32})));
  for (const Granularity& scales : std::vector<Granularity>{
           PerRow{}, PerTensor{}, PerBlock{{1, 32}}, PerBlock{{2, 16, 32}}}) {
    out.push_back(to_quantized_tensor(
        values,
        make_float8_encoding(shape, DType::Float32, {.granularity = scales})));
  }
  out.push_back(to_quantized_tensor(
      values.to(at::kHalf),
      make_float8_encoding(
          shape,
          DType::Float16,
          {.float8_dtype = DType::Float8E5M2, .granularity = PerRow{}})));
  return out;
}

constexpr Int8Compute kComputes[] = {Int8Compute::Token,
                                     Int8Compute::Group32,
                                     Int8Compute::Group64,
                                     Int8Compute::Float};

// Half an ulp, relative.
double rounding_of(c10::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 0x1p-8
         : dtype == at::kHalf   ? 0x1p-11
                                : 0x1p-24;
}

at::Tensor grouped(const at::Tensor& x,
                   const at::Tensor& packed,
                   const std::vector<std::int64_t>& ends) {
  const WeightState& state = quantized_impl(packed)->state();
  return grouped_linear_lowbit(x, *state.packed, ends, state.packed_for);
}

const LowbitWeight& packed_of(const at::Tensor& w) {
  return *quantized_impl(w)->state().packed;
}

TEST(GroupedLinearLowbitTest, FieldsOfPackedExpertsComeBack) {
  for (const at::Tensor& w : experts()) {
    ASSERT_EQ(packing_refusal(w, Int8Compute::Group32), "");
    ASSERT_EQ(packing_refusal(w, Int8Compute::Float), "");
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
      {3, 3, 10, 11}, {0, 0, 1, 1}, {0, 0, 0, 0}, {2, 4, 26, 26}};
  for (const at::Tensor& w : experts()) {
    for (const Int8Compute compute : kComputes) {
      const at::Tensor packed = packed_weight(w, compute);
      for (const auto& ends : offsets) {
        for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
          const at::Tensor x = torch::randn({26, 96}).to(dtype);
          const at::Tensor y = grouped(x, packed, ends);
          ASSERT_EQ(y.sizes(), (std::vector<std::int64_t>{26, 48}));
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
                                   torch::zeros({26 - begin, 48}).to(dtype)));
        }
      }
    }
  }
}

// Of floats, in fp64, and of what rounding may amount to: sums of 96 products
// in float32, of bfloat16 with the values before their last rounding, and y.
TEST(GroupedLinearLowbitTest, FloatsAreThoseOfDouble) {
  const c10::InferenceMode inference;
  const std::vector<std::int64_t> ends = {3, 3, 25, 26};
  for (const at::Tensor& w : experts()) {
    const at::Tensor packed = packed_weight(w, Int8Compute::Float);
    const at::Tensor values = mantissa::dequantize(w).to(at::kDouble);
    const double stored = rounding_of(w.scalar_type());
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor x = torch::randn({26, 96}).to(dtype);
      const at::Tensor y = grouped(x, packed, ends).to(at::kDouble);
      std::int64_t begin = 0;
      for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
        const at::Tensor rows = x.slice(0, begin, ends[e]).to(at::kDouble);
        const at::Tensor expert = values[static_cast<std::int64_t>(e)];
        const at::Tensor truth = rows.matmul(expert.t());
        const at::Tensor terms = rows.abs().matmul(expert.abs().t());
        // Offsets and shifted codes are larger than what they add up to.
        const double sums = 8 * 110 * 0x1p-24 + stored;
        const at::Tensor bound =
            terms * sums + truth.abs() * rounding_of(dtype) + 1e-30;
        const at::Tensor error = (y.slice(0, begin, ends[e]) - truth).abs();
        EXPECT_TRUE((error <= bound).all().item<bool>())
            << e << " " << dtype << " " << (error / bound).max();
      }
    }
  }
}

TEST(GroupedLinearLowbitTest, OneAndTwoThreadsGiveTheSameBytes) {
  const c10::InferenceMode inference;
  const int threads = at::get_num_threads();
  const std::vector<std::int64_t> ends = {150, 151, 151, 400};
  for (const at::Tensor& w : experts()) {
    for (const Int8Compute compute :
         {Int8Compute::Group32, Int8Compute::Float}) {
      const at::Tensor packed = packed_weight(w, compute);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        const at::Tensor x = torch::randn({410, 96}).to(dtype);
        at::set_num_threads(1);
        const at::Tensor one = grouped(x, packed, ends);
        at::set_num_threads(2);
        EXPECT_TRUE(torch::equal(one, grouped(x, packed, ends)));
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(GroupedLinearLowbitTest, IsWhatGroupedMmRuns) {
  const c10::InferenceMode inference;
  const at::Tensor x = torch::randn({9, 96});
  const std::vector<std::int64_t> ends = {2, 2, 5, 8};
  for (const Int8Compute compute : {Int8Compute::Group32, Int8Compute::Float}) {
    const at::Tensor w = packed_weight(experts().front(), compute);
    const at::Tensor y = at::_grouped_mm(
        x, w.transpose(-2, -1), torch::tensor({2, 2, 5, 8}, at::kInt));
    EXPECT_TRUE(torch::equal(y, grouped(x, w, ends)));
  }
}

// Matrices that a file holds apart, whose scheme rounds activations: as the
// linears of the matrices, to the bit, packed or not.
TEST(GroupedLinearLowbitTest, FusedMatricesAreLinearsSideBySide) {
  const c10::InferenceMode inference;
  const std::vector<std::int64_t> ends = {2, 2, 9};
  for (const std::string strategy : {"token", "group", "tensor"}) {
    CompressedSpec spec = {.num_bits = 4, .group_size = 32};
    spec.input_activations =
        R"({"num_bits":8,"symmetric":true,"dynamic":true,"type":"int",)";
    if (strategy == "group") spec.input_activations += R"("group_size":32,)";
    spec.input_activations += R"("strategy":")" + strategy + "\"}";
    const auto [matrices, fused] = tests::random_experts(3, 24, 64, spec);
    EXPECT_EQ(packing_refusal(fused, Int8Compute::Float), "");
    const at::Tensor x = torch::randn({9, 64});
    const auto expect = [&](const at::Tensor& w, bool pack) {
      const at::Tensor y = wrapped_grouped_linear(x, w, ends, true);
      std::int64_t begin = 0;
      for (std::size_t e = 0; e < 3; begin = ends[e], ++e) {
        if (ends[e] == begin) continue;
        std::vector<at::Tensor> halves;
        for (const std::size_t i : {2 * e, 2 * e + 1}) {
          const at::Tensor one =
              pack ? packed_weight(matrices[i], Int8Compute::Float)
                   : matrices[i];
          halves.push_back(torch::linear(x.slice(0, begin, ends[e]), one));
        }
        EXPECT_TRUE(
            torch::equal(y.slice(0, begin, ends[e]), torch::cat(halves, -1)))
            << strategy << " " << pack << " " << e;
      }
    };
    expect(fused, false);
    expect(packed_weight(fused, Int8Compute::Float), true);
  }
}

// Autocast narrows x, as it does for a linear.
TEST(GroupedLinearLowbitTest, AutocastNarrows) {
  const c10::InferenceMode inference;
  const at::Tensor w = packed_weight(experts().front(), Int8Compute::Float);
  const at::Tensor x = torch::randn({9, 96});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const at::Tensor y =
      wrapped_grouped_linear(x, w, {2, 2, 5, 9}, /*out_in=*/true);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_TRUE(torch::equal(y, grouped(x.to(at::kBFloat16), w, {2, 2, 5, 9})));
}

// A row with NaN or infinity spoils itself alone.
TEST(GroupedLinearLowbitTest, NanStaysInItsRow) {
  const c10::InferenceMode inference;
  const std::vector<std::int64_t> ends = {1, 2, 3, 12};
  for (const at::Tensor& w : experts()) {
    for (const Int8Compute compute :
         {Int8Compute::Group32, Int8Compute::Float}) {
      const at::Tensor packed = packed_weight(w, compute);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        for (const double bad : {std::numeric_limits<double>::quiet_NaN(),
                                 std::numeric_limits<double>::infinity()}) {
          at::Tensor x = torch::randn({12, 96}).to(dtype);
          const at::Tensor before = grouped(x, packed, ends);
          x[4][7] = bad;
          const at::Tensor after = grouped(x, packed, ends);
          EXPECT_FALSE(after[4].isfinite().any().item<bool>());
          for (std::int64_t row = 0; row < 12; ++row) {
            if (row == 4) continue;
            EXPECT_TRUE(torch::equal(before[row], after[row])) << row;
          }
        }
      }
    }
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
