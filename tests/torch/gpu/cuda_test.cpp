// Quantized weights on a CUDA device. Without one every test is skipped, with
// that reason.
#include <dlfcn.h>

#include <thread>

#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>
#include <mantissa/configs/registry.h>
#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantize.h>

#include "torch/ops/linear_int8.h"

namespace mantissa {
namespace {

const at::Device kCuda(at::kCUDA);

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Nothing of ours links it: a program without a GPU needs not load it.
    static const bool loaded =
        ::dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) != nullptr;
    if (!loaded) GTEST_SKIP() << "libtorch_cuda.so does not load here";
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device here";
    torch::manual_seed(1);
  }

  static std::shared_ptr<const Encoding> encoding(const char* words,
                                                  const Shape& shape,
                                                  DType dtype) {
    const auto choice = parse_config_words(words)->choose(shape, dtype);
    EXPECT_NE(choice.encoding, nullptr) << words << choice.refusal;
    return choice.encoding;
  }

  // Largest difference, in units of the largest value.
  static double apart(const at::Tensor& ours, const at::Tensor& expected) {
    const at::Tensor a = ours.detach().cpu().to(at::kDouble);
    const at::Tensor b = expected.detach().cpu().to(at::kDouble);
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  }
};

constexpr const char* kWeightOnly[] = {
    "int8_weight_only",
    "int8_weight_only:granularity=per_tensor",
    "int4_weight_only:group_size=32",
    "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
    "float8_weight_only",
};

TEST_F(CudaTest, EveryFormatHasTheBytesOfTheCpuAndMultiplies) {
  const at::Tensor plain = torch::randn({96, 128}).to(at::kBFloat16);
  const at::Tensor x = torch::randn({5, 128}).to(at::kBFloat16);
  for (const char* words : kWeightOnly) {
    const auto how = encoding(words, {96, 128}, DType::BFloat16);
    const at::Tensor host = to_quantized_tensor(plain, how);
    const at::Tensor w = to_quantized_tensor(plain.to(kCuda), how);
    EXPECT_TRUE(w.is_cuda()) << words;
    const auto fields = fields_of(w);
    const auto expected = fields_of(host);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      EXPECT_TRUE(fields[i].is_cuda()) << words;
      EXPECT_TRUE(torch::equal(fields[i].cpu().view(at::kByte),
                               expected[i].view(at::kByte)))
          << words << ", field " << i;
    }
    const at::Tensor values = mantissa::dequantize(host);
    EXPECT_TRUE(torch::equal(mantissa::dequantize(w).cpu(), values)) << words;
    // bfloat16 of sums in another order.
    EXPECT_LT(apart(at::linear(x.to(kCuda), w), at::linear(x, values)), 0.01)
        << words;
  }
}

TEST_F(CudaTest, IntegerProductsAreThoseOfTheCpuForEveryM) {
  for (const std::int64_t m : {1, 2, 7, 16, 17, 33}) {
    for (const bool asymmetric : {false, true}) {
      for (const bool dynamic : {false, true}) {
        const at::Tensor x = torch::randn({m, 72});
        const at::Tensor codes =
            torch::randint(-128, 128, {40, 72}).to(at::kChar);
        const at::Tensor scale = torch::rand({40, 1}) * 0.02 + 0.001;
        const at::Tensor bias = torch::randn({40});
        Int8Activation how;
        how.mapping =
            asymmetric ? MappingType::Asymmetric : MappingType::Symmetric;
        if (!dynamic) {
          how.scale = torch::rand({m, 1}) * 0.01 + 0.02;
          how.zero_point = torch::randint(-9, 9, {m, 1}).to(at::kChar);
          if (!asymmetric) how.zero_point.zero_();
        }
        const at::Tensor host =
            linear_int8(x, codes, scale, bias, how, at::kFloat);
        if (!dynamic) {
          how.scale = how.scale.to(kCuda);
          how.zero_point = how.zero_point.to(kCuda);
        }
        const at::Tensor y = linear_int8(x.to(kCuda),
                                         codes.to(kCuda),
                                         scale.to(kCuda),
                                         bias.to(kCuda),
                                         how,
                                         at::kFloat);
        EXPECT_TRUE(y.is_cuda());
        // A scale found on the device may be one ulp off, since CUDA divides by
        // a number by multiplying by its inverse: a code near a half then goes
        // to the other side.
        EXPECT_LT(apart(y, host), dynamic ? 5e-3 : 1e-6)
            << m << (asymmetric ? " asymmetric" : "");
      }
    }
  }
}

TEST_F(CudaTest, QuantizedActivationsRunInAModule) {
  for (const char* words :
       {"int8_dynamic_activation_int8_weight",
        "float8_dynamic_activation_float8_weight:granularity=per_tensor",
        "float8_dynamic_activation_float8_weight:granularity=per_row"}) {
    torch::nn::Linear linear(128, 64);
    linear->to(at::kBFloat16);
    const at::Tensor x = torch::randn({24, 128}).to(at::kBFloat16);
    const torch::NoGradGuard no_grad;
    const at::Tensor plain = linear(x);
    quantize_(*linear, parse_config_words(words));
    const at::Tensor host = linear(x);
    linear->to(kCuda);
    const at::Tensor y = linear(x.to(kCuda));
    EXPECT_TRUE(y.is_cuda()) << words;
    EXPECT_LT(apart(y, host), 0.02) << words;
    EXPECT_LT(apart(y, plain), 0.1) << words;
  }
}

TEST_F(CudaTest, ModulesMoveThereAndBack) {
  torch::nn::Linear linear(64, 32);
  quantize_(*linear, Int8WeightOnlyConfig{});
  const auto before = fields_of(linear->weight);
  const auto* impl = linear->weight.unsafeGetTensorImpl();
  const at::Tensor x = torch::randn({3, 64});
  const torch::NoGradGuard no_grad;
  const at::Tensor y = linear(x);
  linear->to(kCuda);
  EXPECT_TRUE(linear->weight.is_cuda());
  EXPECT_TRUE(is_quantized_tensor(linear->weight));
  EXPECT_LT(apart(linear(x.to(kCuda)), y), 1e-5);
  linear->to(at::kCPU);
  EXPECT_TRUE(torch::equal(linear(x), y));
  const auto after = fields_of(linear->weight);
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_TRUE(torch::equal(after[i], before[i]));
  }
  EXPECT_EQ(linear->weight.unsafeGetTensorImpl(), impl)
      << "an optimizer's or user's handle stays the module's weight";
}

// A runtime layout of the CPU's kernels stays there.
TEST_F(CudaTest, PackedWeightsMoveAsTheyWereStored) {
  for (const char* words : kWeightOnly) {
    torch::nn::Linear linear(128, 64);
    linear->to(at::kBFloat16);
    quantize_(*linear, parse_config_words(words));
    const auto before = fields_of(linear->weight);
    const auto report = pack_lowbit_(*linear, Int8Compute::Float);
    ASSERT_EQ(report.at(0).refusal, "") << words;
    linear->to(kCuda);
    const auto after = fields_of(linear->weight);
    ASSERT_EQ(after.size(), before.size()) << words;
    for (std::size_t i = 0; i < after.size(); ++i) {
      EXPECT_TRUE(after[i].is_cuda()) << words;
      EXPECT_TRUE(torch::equal(after[i].cpu().view(at::kByte),
                               before[i].view(at::kByte)))
          << words << ", field " << i;
    }
  }
}

TEST_F(CudaTest, AutocastGivesItsDtype) {
  const auto how = encoding("int8_weight_only", {32, 64}, DType::Float32);
  const at::Tensor w = to_quantized_tensor(torch::randn({32, 64}, kCuda), how);
  const at::Tensor x = torch::randn({4, 64}, kCuda);
  at::autocast::set_autocast_enabled(at::kCUDA, true);
  at::autocast::set_autocast_dtype(at::kCUDA, at::kBFloat16);
  const at::Tensor y = at::linear(x, w);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCUDA, false);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT(apart(y, at::linear(x, mantissa::dequantize(w))), 0.02);
}

TEST_F(CudaTest, FourThreadsGoBackwardThroughOneWeight) {
  const auto how = encoding("int8_weight_only", {64, 64}, DType::Float32);
  const at::Tensor w = to_quantized_tensor(torch::randn({64, 64}, kCuda), how);
  const at::Tensor values = mantissa::dequantize(w);
  std::vector<double> errors(4, 1.0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 20; ++round) {
        const at::Tensor x = torch::randn({8 + i, 64}, kCuda).requires_grad_();
        const at::Tensor y = at::linear(x, w);
        const at::Tensor g = torch::randn_like(y);
        y.backward(g);
        errors[i] = apart(x.grad(), g.mm(values));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(errors, ::testing::Each(::testing::Lt(1e-5)));
}

TEST_F(CudaTest, AFakeQuantizedWeightTrains) {
  torch::nn::Linear linear(64, 32);
  const at::Tensor start = linear->weight.detach().clone();
  replace_parameter(
      *linear,
      linear->weight,
      fake_quantized_tensor(
          start.clone(),
          encoding("int8_weight_only", {32, 64}, DType::Float32)));
  linear->to(kCuda);
  ASSERT_TRUE(is_training_tensor(linear->weight));
  torch::optim::AdamW optimizer(linear->parameters(), 0.01);
  const at::Tensor x = torch::randn({16, 64}, kCuda);
  const at::Tensor wanted = torch::randn({16, 32}, kCuda);
  double first = 0;
  double last = 0;
  for (int step = 0; step < 60; ++step) {
    optimizer.zero_grad();
    const at::Tensor loss = torch::mse_loss(linear(x), wanted);
    loss.backward();
    optimizer.step();
    last = loss.item<double>();
    if (step == 0) first = last;
  }
  EXPECT_LT(last, 0.5 * first);
  EXPECT_TRUE(linear->weight.is_cuda());
  EXPECT_GT(apart(mantissa::dequantize(linear->weight), start), 0.01);
}

}  // namespace
}  // namespace mantissa
