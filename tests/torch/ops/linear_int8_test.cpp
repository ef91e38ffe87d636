#include "torch/ops/linear_int8.h"

#include <array>
#include <cmath>

#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/ops/fake_quantize_rows.h"
#include "torch/refusal.h"
#include "torch/tensor/weights.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::refusal;

struct Weights {
  at::Tensor qdata;
  at::Tensor scale;
  at::Tensor bias;
};

Weights random_weights(std::int64_t n,
                       std::int64_t k,
                       c10::ScalarType bias = c10::kFloat) {
  return {torch::randint(-128, 128, {n, k}, c10::kChar),
          torch::rand({n, 1}) + 0.01,
          torch::randn({n}).to(bias)};
}

// Same bits, NaN equal to NaN.
bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         at::allclose(a.to(c10::kDouble), b.to(c10::kDouble), 0, 0, true);
}

class LinearInt8Test : public ::testing::TestWithParam<c10::ScalarType> {
 protected:
  void SetUp() override { torch::manual_seed(11); }
};

// The operators of ATen are torchao's sequence; the judge compares with torchao
// itself.
TEST_P(LinearInt8Test, TheKernelGivesTheBitsOfTheSequence) {
  const c10::ScalarType dtype = GetParam();
  for (const std::int64_t m : {1, 2, 17, 33}) {
    for (const std::int64_t n : {1, 63, 65}) {
      for (const std::int64_t k : {1, 3, 64, 257}) {
        const at::Tensor x = (torch::randn({m, k}) * 3).to(dtype);
        const Weights w = random_weights(n, k, dtype);
        for (const bool per_tensor : {false, true}) {
          for (const auto mapping :
               {MappingType::Symmetric, MappingType::Asymmetric}) {
            for (const bool reduced : {false, true}) {
              const Int8Activation act{per_tensor, mapping, reduced};
              const at::Tensor ours =
                  linear_int8(x, w.qdata, w.scale, w.bias, act, dtype);
              const at::Tensor theirs =
                  linear_int8_by_aten(x, w.qdata, w.scale, w.bias, act, dtype);
              ASSERT_TRUE(same(ours, theirs))
                  << m << ' ' << n << ' ' << k << ' ' << per_tensor << ' '
                  << static_cast<int>(mapping) << ' ' << reduced;
            }
            Int8Activation divided{per_tensor, mapping};
            divided.formula = RowFormula::CompressedTensors;
            ASSERT_TRUE(same(
                linear_int8(x, w.qdata, w.scale, w.bias, divided, c10::kFloat),
                linear_int8_by_aten(
                    x, w.qdata, w.scale, w.bias, divided, c10::kFloat)))
                << m << ' ' << n << ' ' << k << ' ' << per_tensor << ' '
                << static_cast<int>(mapping) << " divided";
          }
        }
      }
    }
  }
}

TEST_P(LinearInt8Test, StaticScalesToo) {
  const c10::ScalarType dtype = GetParam();
  const at::Tensor x = (torch::randn({2, 3, 64}) * 3).to(dtype);
  const Weights w = random_weights(40, 64);
  Int8Activation act{.per_tensor = true, .mapping = MappingType::Asymmetric};
  act.scale = torch::full({1, 1}, 0.03);
  act.zero_point = torch::full({1, 1}, -7, c10::kChar);
  const at::Tensor one_scale = torch::full({1, 1}, 0.02);
  const at::Tensor ours = linear_int8(x, w.qdata, one_scale, {}, act, dtype);
  EXPECT_EQ(ours.sizes(), (std::vector<std::int64_t>{2, 3, 40}));
  EXPECT_TRUE(
      same(ours, linear_int8_by_aten(x, w.qdata, one_scale, {}, act, dtype)));
}

// From the formula, in float64: codes by true division are within a step.
TEST_P(LinearInt8Test, StaysWithinTheBoundOfItsCodes) {
  const c10::ScalarType dtype = GetParam();
  const at::Tensor x = torch::randn({7, 96}).to(dtype);
  const Weights w = random_weights(33, 96);
  const at::Tensor y = linear_int8(x, w.qdata, w.scale, {}, {}, dtype);
  const at::Tensor wide = x.to(c10::kDouble);
  const at::Tensor values = w.qdata.to(c10::kDouble) * w.scale;
  const at::Tensor truth = wide.mm(values.t());
  const at::Tensor step = wide.abs().amax({1}, true) / 127;
  const double eps = dtype == c10::kFloat ? 1e-6 : 0.02;
  const at::Tensor bound =
      0.6 * step * values.abs().sum(1) + eps * wide.abs().mm(values.abs().t());
  EXPECT_TRUE(((y.to(c10::kDouble) - truth).abs() <= bound).all().item<bool>());
}

INSTANTIATE_TEST_SUITE_P(DTypes,
                         LinearInt8Test,
                         ::testing::Values(c10::kFloat,
                                           c10::kBFloat16,
                                           c10::kHalf));

TEST(LinearInt8, SumsBeyondInt32AreExact) {
  const std::int64_t k = 140'000;  // 140000 * 2^14 > 2^31
  const at::Tensor x = torch::full({1, k}, -1.0);
  const at::Tensor w = torch::full({1, k}, -128, c10::kChar);
  Int8Activation act;
  act.scale = torch::full({1, 1}, 0x1p-7);  // codes -128
  const at::Tensor y =
      linear_int8(x, w, torch::ones({1, 1}), {}, act, c10::kFloat);
  EXPECT_EQ(y.item<float>(), static_cast<float>(k * 128));
}

TEST(LinearInt8, ARowThatIsNotFiniteBecomesNaNAlone) {
  at::Tensor x = torch::randn({3, 32});
  const Weights w = random_weights(5, 32);
  const at::Tensor clean =
      linear_int8(x, w.qdata, w.scale, {}, {}, c10::kFloat);
  x[1][4] = NAN;
  const at::Tensor y = linear_int8(x, w.qdata, w.scale, {}, {}, c10::kFloat);
  EXPECT_TRUE(torch::equal(y[0], clean[0]));
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_TRUE(torch::equal(y[2], clean[2]));
  x[1][4] = INFINITY;
  EXPECT_TRUE(linear_int8(x, w.qdata, w.scale, {}, {}, c10::kFloat)[1]
                  .isnan()
                  .all()
                  .item<bool>());
  EXPECT_TRUE(
      linear_int8(x, w.qdata, w.scale, {}, {.per_tensor = true}, c10::kFloat)
          .isnan()
          .all()
          .item<bool>());
}

// As at::linear: sums of nothing are 0, to which the bias is added.
TEST(LinearInt8, NoRowsAndNoColumns) {
  for (const auto& [m, n, k] : std::vector<std::array<std::int64_t, 3>>{
           {0, 5, 32}, {3, 5, 0}, {0, 5, 0}, {3, 0, 32}, {3, 0, 0}}) {
    const at::Tensor x = torch::randn({2, m, k});
    const Weights w = random_weights(n, k);
    for (const at::Tensor& bias : {w.bias, at::Tensor()}) {
      const at::Tensor plain = at::linear(x, w.qdata.to(c10::kFloat), bias);
      for (const bool per_tensor : {false, true}) {
        for (const auto mapping :
             {MappingType::Symmetric, MappingType::Asymmetric}) {
          const Int8Activation act{per_tensor, mapping};
          EXPECT_TRUE(torch::equal(
              linear_int8(x, w.qdata, w.scale, bias, act, c10::kFloat), plain))
              << m << ' ' << n << ' ' << k;
          EXPECT_TRUE(torch::equal(
              linear_int8_by_aten(x, w.qdata, w.scale, bias, act, c10::kFloat),
              plain))
              << m << ' ' << n << ' ' << k;
        }
      }
    }
  }
  Int8Activation fixed;
  fixed.scale = torch::full({1, 1}, 0.1);
  const Weights w = random_weights(5, 0);
  EXPECT_TRUE(torch::equal(
      linear_int8(
          torch::randn({3, 0}), w.qdata, w.scale, w.bias, fixed, c10::kFloat),
      w.bias.expand({3, 5})));
}

// With a given scale NaN has the code 0 and infinity the largest one.
TEST(LinearInt8, AStaticScaleDoesNotSeeNaN) {
  at::Tensor x = torch::randn({3, 32});
  x[1][4] = NAN;
  x[1][5] = INFINITY;
  x[2][6] = -INFINITY;
  const Weights w = random_weights(5, 32);
  for (const auto mapping : {MappingType::Symmetric, MappingType::Asymmetric}) {
    for (const int zero : {0, -7}) {
      if (mapping == MappingType::Symmetric && zero != 0) continue;
      Int8Activation act{.mapping = mapping};
      act.scale = torch::full({1, 1}, 0.03);
      act.zero_point = torch::full({1, 1}, zero, c10::kChar);
      at::Tensor codes =
          ((x * act.scale.reciprocal()).round() + zero).clamp(-128, 127);
      codes[1][4] = 0;
      const at::Tensor sums =
          (codes - zero).to(c10::kDouble).mm(w.qdata.to(c10::kDouble).t());
      const at::Tensor truth = sums * 0.03F * w.scale.flatten();
      const at::Tensor ours =
          linear_int8(x, w.qdata, w.scale, {}, act, c10::kFloat);
      EXPECT_TRUE(torch::allclose(ours.to(c10::kDouble), truth, 1e-5, 1e-4));
      EXPECT_TRUE(
          same(ours,
               linear_int8_by_aten(x, w.qdata, w.scale, {}, act, c10::kFloat)));
    }
  }
}

TEST(LinearInt8, IsAnOperatorOfTheDispatcher) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(
      "mantissa::linear_int8", "");
  EXPECT_TRUE(op.hasKernelForDispatchKey(c10::DispatchKey::Meta));
  EXPECT_TRUE(op.hasKernelForDispatchKey(c10::DispatchKey::CUDA));
  const at::Tensor x = torch::randn({4, 32});
  const Weights w = random_weights(5, 32);
  const auto call = [&](const at::Tensor& input) {
    torch::jit::Stack stack = {input,
                               w.qdata.to(input.device()),
                               w.scale.to(input.device()),
                               c10::IValue(),
                               false,
                               false,
                               false,
                               c10::IValue(),
                               c10::IValue(),
                               c10::IValue()};
    op.callBoxed(&stack);
    return stack[0].toTensor();
  };
  EXPECT_TRUE(torch::equal(
      call(x), linear_int8(x, w.qdata, w.scale, {}, {}, c10::kFloat)));
  const at::Tensor meta = call(x.to(c10::kMeta));
  EXPECT_TRUE(meta.is_meta());
  EXPECT_EQ(meta.sizes(), (std::vector<std::int64_t>{4, 5}));
}

TEST(LinearInt8, RefusesParametersThatAreNotThere) {
  const at::Tensor x = torch::randn({3, 32});
  const at::Tensor codes = torch::ones({5, 32}, at::kChar);
  const at::Tensor scale = torch::ones({5});
  Int8Activation activation;
  activation.mapping = MappingType::Asymmetric;
  activation.scale = torch::ones({1});
  activation.zero_point = torch::zeros({2}, at::kChar);
  EXPECT_THAT(refusal([&] {
                linear_int8(x, codes, scale, {}, activation, at::kFloat);
              }),
              HasSubstr("act_zero_point: expected one value or one for each of "
                        "3 rows, got [2]"));
  for (const double zero : {257.0, -257.0, 1e9, 0.5, std::nan("")}) {
    activation.zero_point = torch::full({1}, zero, at::kDouble);
    EXPECT_THAT(refusal([&] {
                  linear_int8(x, codes, scale, {}, activation, at::kFloat);
                }),
                HasSubstr("linear_int8: act_zero_point: expected whole numbers "
                          "in [-256, 256], got "));
  }
  for (const double zero : {256.0, -256.0}) {
    activation.zero_point = torch::full({3}, zero, at::kDouble);
    EXPECT_NO_THROW(linear_int8(x, codes, scale, {}, activation, at::kFloat));
  }
  const at::Tensor elsewhere = torch::ones({5}, at::kMeta);
  EXPECT_THAT(
      refusal([&] { linear_int8(x, codes, scale, elsewhere, {}, at::kFloat); }),
      HasSubstr("bias: expected the device of x, cpu, got meta"));
}

TEST(LinearInt8, RefusesWhatDoesNotFit) {
  const Weights w = random_weights(5, 32);
  const auto message = [&](const at::Tensor& x, const at::Tensor& bias = {}) {
    return refusal(
        [&] { linear_int8(x, w.qdata, w.scale, bias, {}, c10::kFloat); });
  };
  EXPECT_THAT(message(torch::randn({2, 31})),
              HasSubstr("linear_int8: x: expected last dim 32 (= in_features), "
                        "got [2, 31]"));
  EXPECT_THAT(message(torch::randn({2, 32}, c10::kDouble)),
              HasSubstr("linear_int8: x: expected"));
  EXPECT_THAT(message(torch::randn({2, 32}), torch::randn({4})),
              HasSubstr("linear_int8: bias: expected [5], got [4]"));
}

class FakeQuantizeRowsTest : public ::testing::TestWithParam<c10::ScalarType> {
};

TEST_P(FakeQuantizeRowsTest, GivesTheBitsOfTheSequence) {
  torch::manual_seed(12);
  for (const std::int64_t k : {1, 7, 64, 515}) {
    const at::Tensor x = (torch::randn({5, 3, k}) * 4 + 1).to(GetParam());
    EXPECT_TRUE(
        same(fake_quantize_rows_int8(x), fake_quantize_rows_int8_by_aten(x)))
        << k;
  }
  const at::Tensor zeros = torch::zeros({2, 8}, GetParam());
  EXPECT_TRUE(torch::equal(fake_quantize_rows_int8(zeros), zeros));
}

INSTANTIATE_TEST_SUITE_P(DTypes,
                         FakeQuantizeRowsTest,
                         ::testing::Values(c10::kFloat,
                                           c10::kBFloat16,
                                           c10::kHalf));

// A weight through at::linear, with what its config says of activations.
class QuantizedActivationsTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(13); }

  at::Tensor quantized(const Config& config, const at::Tensor& w) {
    const auto choice = config.choose(
        w.sizes().vec(),
        w.scalar_type() == c10::kFloat ? DType::Float32 : DType::BFloat16);
    EXPECT_NE(choice.encoding, nullptr) << choice.refusal;
    return to_quantized_tensor(w, choice.encoding);
  }
};

TEST_F(QuantizedActivationsTest, Int8DynamicRunsTheOperator) {
  const at::Tensor plain = torch::randn({24, 64});
  const at::Tensor w =
      quantized(Int8DynamicActivationInt8WeightConfig{}, plain);
  const at::Tensor x = torch::randn({2, 5, 64});
  const at::Tensor bias = torch::randn({24});
  const auto fields = fields_of(w);
  EXPECT_TRUE(torch::equal(
      at::linear(x, w, bias),
      linear_int8(x, fields[0], fields[1], bias, {}, c10::kFloat)));
  EXPECT_TRUE(torch::equal(at::linear(x, w, bias), x.matmul(w.t()) + bias));
  EXPECT_LT((at::linear(x, w) - at::linear(x, plain)).abs().max().item<float>(),
            0.5);
}

// As torch: one value is added to every column, through any operator.
TEST_F(QuantizedActivationsTest, ABiasOfOneValueGoesToEveryColumn) {
  const at::Tensor w = quantized(Int8DynamicActivationInt8WeightConfig{},
                                 torch::randn({24, 64}));
  const at::Tensor x = torch::randn({5, 64});
  const at::Tensor bias = torch::full({1}, 3.0F).requires_grad_();
  const at::Tensor truth = at::linear(x, w) + 3;
  EXPECT_TRUE(torch::allclose(at::addmm(bias, x, w.t()), truth));
  EXPECT_TRUE(torch::allclose(at::linear(x, w, bias), truth));
  EXPECT_TRUE(torch::allclose(at::linear(x, w, bias.squeeze(0)), truth));
  EXPECT_TRUE(torch::allclose(mantissa::linear(x, w, bias), truth));
  at::addmm(bias, x, w.t()).sum().backward();
  EXPECT_EQ(bias.grad().item<float>(), 5 * 24);
}

TEST_F(QuantizedActivationsTest, GradientsReachTheInput) {
  const at::Tensor w = quantized(Int8DynamicActivationInt8WeightConfig{},
                                 torch::randn({24, 64}));
  const at::Tensor x = torch::randn({5, 64}).requires_grad_();
  at::linear(x, w).sum().backward();
  EXPECT_TRUE(torch::allclose(
      x.grad(), torch::ones({5, 24}).mm(mantissa::dequantize(w))));
}

TEST_F(QuantizedActivationsTest, AsymmetricWeightsWithActivationsAreRefused) {
  const auto encoding =
      make_int8_encoding({8, 32},
                         DType::Float32,
                         {.mapping_type = MappingType::Asymmetric,
                          .act_quant_kwargs = QuantizeTensorToInt8Kwargs{}});
  const at::Tensor w = to_quantized_tensor(torch::rand({8, 32}) + 1, encoding);
  EXPECT_THAT(refusal([&] { at::linear(torch::randn({2, 32}), w); }),
              HasSubstr("int8 activations go with symmetric weights"));
  // Alone they count with their zero points.
  const at::Tensor alone = to_quantized_tensor(
      torch::rand({8, 32}) + 1,
      make_int8_encoding(
          {8, 32}, DType::Float32, {.mapping_type = MappingType::Asymmetric}));
  const at::Tensor x = torch::randn({2, 32});
  EXPECT_TRUE(torch::allclose(at::linear(x, alone),
                              at::linear(x, mantissa::dequantize(alone))));
}

// Zero points are looked at when a weight is made and when it is written to.
TEST_F(QuantizedActivationsTest, ZeroPointsThatAreCopiedInCount) {
  const at::Tensor plain = torch::rand({8, 32}) + 1;
  const at::Tensor shifted = to_quantized_tensor(
      plain,
      make_int8_encoding(
          {8, 32}, DType::Float32, {.mapping_type = MappingType::Asymmetric}));
  const at::Tensor w = to_quantized_tensor(
      torch::randn({8, 32}), make_int8_encoding({8, 32}, DType::Float32, {}));
  const at::Tensor view = w.t();
  const at::Tensor copy = w.clone();
  const at::Tensor x = torch::randn({2, 32});
  const at::Tensor before = at::linear(x, copy);
  w.copy_(shifted);
  const at::Tensor truth = at::linear(x, mantissa::dequantize(shifted));
  EXPECT_TRUE(torch::allclose(at::linear(x, w), truth, 1e-5, 1e-5));
  EXPECT_TRUE(torch::allclose(x.mm(view), truth, 1e-5, 1e-5));
  EXPECT_TRUE(torch::equal(at::linear(x, copy), before));
  copy.copy_(shifted);
  EXPECT_TRUE(torch::allclose(at::linear(x, copy), truth, 1e-5, 1e-5));
}

TEST_F(QuantizedActivationsTest, PreScalesMultiplyTheActivations) {
  HostTensor factors(DType::Float32, {32});
  for (int i = 0; i < 32; ++i) factors.as<float>()[i] = 1.0F + i;
  const at::Tensor w = to_quantized_tensor(
      torch::randn({8, 32}),
      make_int8_encoding({8, 32}, DType::Float32, {.act_pre_scale = factors}));
  const at::Tensor x = torch::randn({2, 32});
  const at::Tensor by_hand =
      (x * torch::arange(1, 33)).mm(mantissa::dequantize(w).t());
  EXPECT_TRUE(torch::allclose(at::linear(x, w), by_hand, 1e-4, 1e-4));
}

TEST_F(QuantizedActivationsTest, Float8DynamicStaysWithinItsCodes) {
  const at::Tensor plain = torch::randn({256, 128}).to(c10::kBFloat16);
  const auto check = [&](const Config& config) {
    const at::Tensor w = quantized(config, plain);
    const at::Tensor x = torch::randn({3, 128}).to(c10::kBFloat16);
    const at::Tensor values = mantissa::dequantize(w).to(c10::kDouble);
    const at::Tensor truth = x.to(c10::kDouble).mm(values.t());
    const at::Tensor bound =
        0.08 * x.to(c10::kDouble).abs().mm(values.abs().t());
    EXPECT_TRUE(((at::linear(x, w).to(c10::kDouble) - truth).abs() <= bound)
                    .all()
                    .item<bool>());
  };
  check(Float8DynamicActivationFloat8WeightConfig{{.granularity = PerRow{}}});
  check(
      Float8DynamicActivationFloat8WeightConfig{{.granularity = PerTensor{}}});
}

}  // namespace
}  // namespace mantissa
