#include "torch/tensor/expert_matrices.h"

#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/tensor/experts.h"
#include "torch/tensor/linear_node.h"
#include "torch/tensor/lowbit_rule.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

using Ends = std::vector<std::int64_t>;

constexpr std::int64_t kExperts = 4;
constexpr std::int64_t kExpertRows = 48;
constexpr c10::ScalarType kInputDTypes[] = {
    at::kFloat, at::kBFloat16, at::kHalf};

// Experts [E, 48, K] and the linears that each is.
struct Experts {
  std::string name;
  at::Tensor all;
  std::vector<std::vector<at::Tensor>> linears;  // side by side
};

Experts of_int8(const std::string& name,
                const at::Tensor& values,
                const Int8Spec& spec) {
  Experts out = {
      name,
      to_quantized_tensor(
          values,
          make_int8_encoding(values.sizes().vec(), DType::Float32, spec)),
      {}};
  for (std::int64_t e = 0; e < values.size(0); ++e) {
    out.linears.push_back({out.all.select(0, e)});
  }
  return out;
}

// Int8Tensor whose config names int8 activations.
std::vector<Experts> int8_tensors(std::int64_t experts, std::int64_t k) {
  const at::Tensor values = torch::randn({experts, kExpertRows, k}) * 0.1;
  const QuantizeTensorToInt8Kwargs activations[] = {
      {},
      {.mapping_type = MappingType::Asymmetric},
      {.reduce_range = true},
      {.granularity = PerTensor{}, .mapping_type = MappingType::Asymmetric}};
  std::vector<Experts> out;
  for (const auto& activation : activations) {
    out.push_back(of_int8("Int8Tensor " + std::to_string(out.size()),
                          values,
                          {.act_quant_kwargs = activation}));
  }
  HostTensor scale(DType::Float32, {1, 1});
  scale.as<float>()[0] = 0.03f;
  HostTensor zero(DType::Int8, {1, 1});
  zero.as<std::int8_t>()[0] = -7;
  out.push_back(of_int8(
      "static Int8Tensor",
      values,
      {.act_quant_kwargs =
           QuantizeTensorToInt8Kwargs{PerTensor{}, MappingType::Asymmetric},
       .act_quant_scale = scale,
       .act_quant_zero_point = zero}));
  for (const Granularity& scales : std::initializer_list<Granularity>{
           PerTensor{}, PerAxis{0}, PerBlock{{2, 1, k}}}) {
    if (experts % 2 != 0 && scales.index() == Granularity(PerBlock{}).index()) {
      continue;
    }
    out.push_back(of_int8("Int8Tensor " + std::to_string(out.size()),
                          values,
                          {.granularity = scales,
                           .act_quant_kwargs = QuantizeTensorToInt8Kwargs{
                               .mapping_type = MappingType::Asymmetric}}));
  }
  return out;
}

std::string scheme(const std::string& type,
                   const std::string& strategy,
                   bool symmetric,
                   bool dynamic) {
  const auto word = [](bool value) { return value ? "true" : "false"; };
  return std::string(R"({"num_bits":8,"type":")") + type + R"(","strategy":")" +
         strategy + R"(","symmetric":)" + word(symmetric) + R"(,"dynamic":)" +
         word(dynamic) + "}";
}

std::vector<FieldLayout> input_fields(bool symmetric) {
  std::vector<FieldLayout> out = {{"input_scale", DType::Float32, {1}}};
  if (!symmetric) out.push_back({"input_zero_point", DType::Int8, {1}});
  return out;
}

Experts of_compressed(const std::string& name,
                      std::int64_t experts,
                      std::int64_t k,
                      const CompressedSpec& spec,
                      bool alike = true) {
  const auto fused =
      tests::random_experts(experts, kExpertRows / 2, k, spec, alike);
  Experts out = {name, fused.fused, {}};
  for (std::int64_t e = 0; e < experts; ++e) {
    out.linears.push_back(fused.of_expert(static_cast<std::size_t>(e),
                                          static_cast<std::size_t>(experts)));
  }
  return out;
}

// int-quantized with int8 activations, a matrix each.
std::vector<Experts> w8a8(std::int64_t experts, std::int64_t k) {
  std::vector<Experts> out;
  for (const auto weights :
       {CompressedStrategy::Channel, CompressedStrategy::Tensor}) {
    CompressedSpec spec = {.format = CompressedFormat::IntQuantized,
                           .num_bits = 8,
                           .strategy = weights};
    for (const bool symmetric : {true, false}) {
      for (const std::string strategy : {"token", "tensor"}) {
        spec.input_activations = scheme("int", strategy, symmetric, true);
        out.push_back(
            of_compressed("w8a8 " + spec.input_activations, experts, k, spec));
      }
    }
  }
  return out;
}

// Matrices [24, K] of an expert with static activations apart have no tile of
// their own; [32, K] do.
std::vector<Experts> static_w8a8(std::int64_t experts, std::int64_t k) {
  std::vector<Experts> out;
  for (const bool alike : {true, false}) {
    for (const bool symmetric : {true, false}) {
      const CompressedSpec spec = {
          .format = CompressedFormat::IntQuantized,
          .num_bits = 8,
          .strategy = CompressedStrategy::Tensor,
          .input_activations = scheme("int", "tensor", symmetric, false),
          .input_fields = input_fields(symmetric)};
      const auto fused = tests::random_experts(experts, 32, k, spec, alike);
      Experts one = {alike ? "static" : "static, not alike", fused.fused, {}};
      for (std::int64_t e = 0; e < experts; ++e) {
        one.linears.push_back(fused.of_expert(
            static_cast<std::size_t>(e), static_cast<std::size_t>(experts)));
      }
      out.push_back(std::move(one));
    }
  }
  return out;
}

std::vector<Experts> all_int8(std::int64_t experts, std::int64_t k) {
  std::vector<Experts> out = int8_tensors(experts, k);
  for (const auto& more : {w8a8(experts, k), static_w8a8(experts, k)}) {
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

// float8 weights and activations whose scale an expert's rows share, or a file
// gives.
std::vector<Experts> float8(std::int64_t experts, std::int64_t k) {
  CompressedSpec spec = {.format = CompressedFormat::FloatQuantized,
                         .num_bits = 8,
                         .floating = true,
                         .strategy = CompressedStrategy::Tensor};
  std::vector<Experts> out;
  spec.input_activations = scheme("float", "tensor", true, true);
  out.push_back(of_compressed("float8 tensor", experts, k, spec));
  spec.input_activations = scheme("float", "tensor", true, false);
  spec.input_fields = input_fields(true);
  for (const bool alike : {true, false}) {
    const auto fused = tests::random_experts(experts, 32, k, spec, alike);
    Experts one = {
        alike ? "float8 static" : "float8 static, not alike", fused.fused, {}};
    for (std::int64_t e = 0; e < experts; ++e) {
      one.linears.push_back(fused.of_expert(static_cast<std::size_t>(e),
                                            static_cast<std::size_t>(experts)));
    }
    out.push_back(std::move(one));
  }
  return out;
}

bool is_packed(const at::Tensor& w) {
  return quantized_impl(w)->state().packed != nullptr;
}

// Rows of every expert as its linears give them.
void expect_linears(const Experts& experts,
                    const at::Tensor& x,
                    const Ends& ends,
                    const at::Tensor& y,
                    const std::function<at::Tensor(const at::Tensor&)>& as) {
  ASSERT_EQ(y.sizes(),
            (std::vector<std::int64_t>{x.size(0), experts.all.size(1)}));
  ASSERT_EQ(y.scalar_type(), x.scalar_type());
  std::int64_t begin = 0;
  for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
    if (ends[e] == begin) continue;
    std::vector<at::Tensor> parts;
    for (const at::Tensor& linear : experts.linears[e]) {
      parts.push_back(torch::linear(x.slice(0, begin, ends[e]), as(linear)));
    }
    EXPECT_TRUE(torch::equal(y.slice(0, begin, ends[e]), torch::cat(parts, -1)))
        << experts.name << " expert " << e << " " << x.scalar_type() << " K "
        << x.size(1);
  }
  EXPECT_TRUE(
      torch::equal(y.slice(0, begin), torch::zeros_like(y.slice(0, begin))));
}

at::Tensor packed_as_float(const at::Tensor& w) {
  return packed_weight(w, Int8Compute::Float);
}

class ExpertMatricesTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(5); }
  c10::InferenceMode inference_;
};

// Codes with codes: as the linear of the same config, packed or not, to the
// bit; K with a rest, experts with one token, none, and rows behind the last.
TEST_F(ExpertMatricesTest, Int8ExpertsAreTheirLinearsToTheBit) {
  const Ends offsets[] = {{3, 3, 10, 11},
                          {0, 0, 1, 1},
                          {0, 0, 0, 0},
                          {2, 4, 26, 26},
                          {7, 20, 20, 40}};
  for (const std::int64_t k : {96, 100, 7}) {
    for (const Experts& experts : all_int8(kExperts, k)) {
      for (const Int8Compute compute :
           {Int8Compute::Group32, Int8Compute::Float}) {
        ASSERT_EQ(packing_refusal(experts.all, compute), "") << experts.name;
      }
      const at::Tensor packed = packed_as_float(experts.all);
      ASSERT_TRUE(is_packed(packed));
      for (const auto dtype : kInputDTypes) {
        const at::Tensor x = (torch::randn({40, k}) + 0.3).to(dtype);
        for (const Ends& ends : offsets) {
          const at::Tensor y = wrapped_grouped_linear(x, packed, ends, true);
          expect_linears(
              experts, x, ends, y, [](const at::Tensor& w) { return w; });
          expect_linears(experts, x, ends, y, packed_as_float);
        }
      }
    }
  }
}

TEST_F(ExpertMatricesTest, OneExpertIsItsLinear) {
  for (const Experts& experts : all_int8(1, 96)) {
    const at::Tensor packed = packed_as_float(experts.all);
    for (const std::int64_t rows : {1, 2, 5, 33}) {
      const at::Tensor x = torch::randn({rows, 96});
      expect_linears(experts,
                     x,
                     {rows},
                     wrapped_grouped_linear(x, packed, {rows}, true),
                     [](const at::Tensor& w) { return w; });
    }
  }
}

// The formula in fp64: codes are within half a step of x, whose steps are
// found in x's dtype; integer sums are exact, and few values are rounded.
TEST_F(ExpertMatricesTest, Int8ExpertsAreWithinHalfAStepOfTheirValues) {
  const Ends ends = {3, 3, 25, 26};
  for (const Experts& experts : all_int8(kExperts, 96)) {
    const bool fixed = experts.name.find("static") == 0;
    const at::Tensor packed = packed_as_float(experts.all);
    const at::Tensor values = mantissa::dequantize(experts.all).to(at::kDouble);
    for (const auto dtype : kInputDTypes) {
      // Static scales reach from -128 * 0.02 on.
      const at::Tensor x =
          (torch::randn({26, 96}) * 0.5).clamp(-2, 2).to(dtype);
      const at::Tensor y =
          wrapped_grouped_linear(x, packed, ends, true).to(at::kDouble);
      const double eps = dtype == at::kFloat  ? 1e-6
                         : dtype == at::kHalf ? 0x1p-9
                                              : 0x1p-6;
      std::int64_t begin = 0;
      for (std::size_t e = 0; e < ends.size(); begin = ends[e], ++e) {
        if (ends[e] == begin) continue;
        const at::Tensor rows = x.slice(0, begin, ends[e]).to(at::kDouble);
        const at::Tensor w = values[static_cast<std::int64_t>(e)];
        const double most = rows.abs().max().item<double>();
        // One scale for the rows at most; of symmetric codes, of a reduced
        // range, or given.
        const double step = fixed ? 0.05 : most / 63;
        const at::Tensor truth = rows.mm(w.t());
        // What is rounded to x's dtype on the way has up to 128 codes' zero
        // point.
        const at::Tensor bound =
            w.abs().sum(1) * (0.51 * step + eps * 3 * most);
        const at::Tensor error = (y.slice(0, begin, ends[e]) - truth).abs();
        EXPECT_TRUE((error <= bound).all().item<bool>())
            << experts.name << " expert " << e << " " << dtype << " "
            << (error / bound).max();
      }
    }
  }
}

TEST_F(ExpertMatricesTest, OneAndTwoThreadsGiveTheSameBytes) {
  const int threads = at::get_num_threads();
  const Ends ends = {150, 151, 151, 400};
  auto all = all_int8(kExperts, 96);
  for (auto& more : float8(kExperts, 96)) all.push_back(std::move(more));
  for (const Experts& experts : all) {
    const at::Tensor packed = packed_as_float(experts.all);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor x = torch::randn({410, 96}).to(dtype);
      at::set_num_threads(1);
      const at::Tensor one = wrapped_grouped_linear(x, packed, ends, true);
      at::set_num_threads(2);
      EXPECT_TRUE(
          torch::equal(one, wrapped_grouped_linear(x, packed, ends, true)))
          << experts.name;
    }
  }
  at::set_num_threads(threads);
}

// x with the values of its codes, whose scale the rows of an expert share or a
// file gives, times float8 codes: as the packed linears of the matrices.
TEST_F(ExpertMatricesTest, RoundedActivationsAreThoseOfTheLinears) {
  const Ends offsets[] = {{3, 3, 10, 11}, {0, 0, 1, 1}, {0, 0, 0, 0}};
  for (const Experts& experts : float8(kExperts, 96)) {
    ASSERT_EQ(packing_refusal(experts.all, Int8Compute::Float), "")
        << experts.name;
    const at::Tensor packed = packed_as_float(experts.all);
    for (const auto dtype : kInputDTypes) {
      const at::Tensor x = torch::randn({12, 96}).to(dtype);
      for (const Ends& ends : offsets) {
        expect_linears(experts,
                       x,
                       ends,
                       wrapped_grouped_linear(x, packed, ends, true),
                       packed_as_float);
      }
    }
  }
}

TEST_F(ExpertMatricesTest, StoredFieldsComeBack) {
  auto all = all_int8(kExperts, 100);
  for (auto& more : float8(kExperts, 96)) all.push_back(std::move(more));
  for (const Experts& experts : all) {
    const auto before = fields_of(experts.all);
    const at::Tensor packed = packed_as_float(experts.all);
    const auto after = fields_of(packed);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_TRUE(
          torch::equal(before[i].view(at::kByte), after[i].view(at::kByte)))
          << experts.name << " field " << i;
    }
    // Packed once more, it is the same.
    const at::Tensor x = torch::randn({8, experts.all.size(2)});
    EXPECT_TRUE(
        torch::equal(wrapped_grouped_linear(x, packed, {1, 4, 4, 8}, true),
                     wrapped_grouped_linear(
                         x, packed_as_float(packed), {1, 4, 4, 8}, true)));
  }
}

// A row with NaN or infinity spoils itself, and where rows share a scale those
// of its expert; a given scale sees no infinity.
TEST_F(ExpertMatricesTest, NanStaysInItsExpert) {
  const Ends ends = {1, 2, 6, 12};
  for (const Experts& experts : all_int8(kExperts, 96)) {
    const at::Tensor packed = packed_as_float(experts.all);
    at::Tensor x = torch::randn({12, 96});
    const at::Tensor before = wrapped_grouped_linear(x, packed, ends, true);
    x[4][7] = std::numeric_limits<double>::quiet_NaN();
    const at::Tensor after = wrapped_grouped_linear(x, packed, ends, true);
    // torchao's codes of a given scale see no NaN.
    EXPECT_EQ(after[4].isnan().all().item<bool>(),
              experts.name != "static Int8Tensor")
        << experts.name;
    for (std::int64_t row = 0; row < 12; ++row) {
      if (row >= 2 && row < 6) continue;
      EXPECT_TRUE(torch::equal(before[row], after[row]))
          << experts.name << " " << row;
    }
  }
}

// What an expert's matrices share needs no tile of theirs; what they do not
// share does.
TEST_F(ExpertMatricesTest, ReasonsForWhatStays) {
  const CompressedSpec fixed = {
      .format = CompressedFormat::IntQuantized,
      .num_bits = 8,
      .strategy = CompressedStrategy::Tensor,
      .input_activations = scheme("int", "tensor", true, false),
      .input_fields = input_fields(true)};
  const auto narrow = tests::random_experts(2, 24, 64, fixed);
  EXPECT_EQ(packing_refusal(narrow.fused, Int8Compute::Float),
            "each matrix of an expert has a scale of activations, and its rows "
            "are no multiple of 16");
  const auto wide = tests::random_experts(2, 32, 64, fixed);
  EXPECT_EQ(packing_refusal(wide.fused.select(0, 1), Int8Compute::Float),
            "each matrix has a scale of activations");
  const at::Tensor long_rows = to_quantized_tensor(
      torch::randn({1, 16, 32800}),
      make_int8_encoding({1, 16, 32800},
                         DType::Float32,
                         {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}}));
  EXPECT_EQ(packing_refusal(long_rows, Int8Compute::Float),
            "its rows have more than 32768 values");
}

// Of any format that holds scales of activations.
TEST_F(ExpertMatricesTest, MatricesOfInt8TensorsKeepTheirScalesToo) {
  HostTensor scale(DType::Float32, {1, 1});
  for (const std::int64_t rows : {32, 24}) {
    const auto encoding = make_int8_encoding(
        {rows, 64},
        DType::Float32,
        {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{PerTensor{}},
         .act_quant_scale = scale});
    std::vector<std::vector<at::Tensor>> fields;
    for (int i = 0; i < 6; ++i) {
      scale.as<float>()[0] = 0.02F + 0.003F * static_cast<float>(i);
      fields.push_back(fields_of(
          to_quantized_tensor(torch::randn({rows, 64}) * 0.1, encoding)));
      fields.back().back() = torch::full({1, 1}, scale.as<float>()[0]);
    }
    const tests::FusedExperts fused({3, 2 * rows, 64}, encoding, fields);
    Experts experts = {"Int8Tensors", fused.fused, {}};
    for (std::size_t e = 0; e < 3; ++e) {
      experts.linears.push_back(fused.of_expert(e, 3));
    }
    if (rows == 24) {
      EXPECT_EQ(packing_refusal(fused.fused, Int8Compute::Float),
                "each matrix of an expert has a scale of activations, and its "
                "rows are no multiple of 16");
      continue;
    }
    ASSERT_EQ(packing_refusal(fused.fused, Int8Compute::Float), "");
    const at::Tensor packed = packed_as_float(fused.fused);
    const at::Tensor x = torch::randn({9, 64});
    expect_linears(experts,
                   x,
                   {2, 2, 9},
                   wrapped_grouped_linear(x, packed, {2, 2, 9}, true),
                   [](const at::Tensor& w) { return w; });
  }
}

TEST_F(ExpertMatricesTest, ValuesThatAnExpertsMatricesShareAreOne) {
  const at::Tensor scale = torch::tensor({1.0, 1.0, 2.0, 2.0}).view({4, 1});
  const auto alike = MatrixActivations::of(scale, {}, 2);
  EXPECT_EQ(alike.each, 1);
  EXPECT_TRUE(torch::equal(alike.scale, torch::tensor({1.0, 2.0})));
  const at::Tensor zero = torch::tensor({0, 0, 0, 1}, at::kChar).view({4, 1});
  const auto apart = MatrixActivations::of(scale, zero, 2);
  EXPECT_EQ(apart.each, 2);
  const ExpertMatrices matrices({1, 3}, 2);
  EXPECT_EQ(matrices.ends(), (Ends{1, 2, 4, 6}));
  const at::Tensor x = torch::tensor({{1.0}, {2.0}, {3.0}});
  EXPECT_TRUE(
      torch::equal(matrices.rows(x),
                   torch::tensor({{1.0}, {1.0}, {2.0}, {3.0}, {2.0}, {3.0}})));
  EXPECT_TRUE(
      torch::equal(matrices.values(apart.zero_point),
                   torch::tensor({{0}, {0}, {0}, {0}, {1}, {1}}, at::kChar)));
  EXPECT_TRUE(torch::equal(
      matrices.joined(torch::tensor({{1}, {2}, {3}, {4}, {5}, {6}})),
      torch::tensor({{1, 2}, {3, 5}, {4, 6}})));
}

}  // namespace
}  // namespace mantissa
