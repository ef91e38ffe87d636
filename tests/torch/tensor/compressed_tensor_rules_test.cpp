#include "torch/tensor/compressed_tensor_rules.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantized_tensor.h>

#include "support/exchange.h"
#include "support/temp_dir.h"
#include "torch/quantize/module_parameters.h"
#include "torch/refusal.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tree_module.h"

namespace mantissa {
namespace {

using support::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::refusal;
using tests::TreeModule;

constexpr const char* kInt8Token =
    R"({"num_bits":8,"type":"int","strategy":"token","dynamic":true})";
constexpr const char* kInt8Asymmetric =
    R"({"type":"int","symmetric":false,"strategy":"token","dynamic":true})";
constexpr const char* kFloat8Token =
    R"({"type":"float","strategy":"token","dynamic":true})";
constexpr const char* kInt8Static =
    R"({"type":"int","strategy":"tensor","dynamic":false})";
constexpr const char* kInt8StaticAsymmetric =
    R"({"type":"int","strategy":"tensor","dynamic":false,"symmetric":false})";

CompressedSpec int8_spec(const std::string& activations) {
  return {.format = CompressedFormat::IntQuantized,
          .num_bits = 8,
          .strategy = CompressedStrategy::Channel,
          .input_activations = activations};
}

CompressedSpec packed_spec(const std::string& activations) {
  return {.num_bits = 4,
          .strategy = CompressedStrategy::Group,
          .group_size = 32,
          .input_activations = activations};
}

at::Tensor weight_of(const CompressedSpec& spec, c10::ScalarType dtype) {
  const at::Tensor w = torch::randn({24, 96}).to(dtype);
  return to_quantized_tensor(
      w, make_compressed_encoding({24, 96}, dtype_of(dtype), spec));
}

// A module whose a.weight is this.
std::shared_ptr<TreeModule> module_of(const at::Tensor& weight) {
  auto module = std::make_shared<TreeModule>();
  module->add("a.weight", torch::zeros({24, 96}));
  if (is_quantized_tensor(weight)) {
    parameters_of(*module).front().places.front().put(weight);
  }
  return module;
}
std::shared_ptr<TreeModule> plain_module() {
  return module_of(torch::zeros({1}));
}
at::Tensor weight_of(const torch::nn::Module& module) {
  return module.named_parameters()["a.weight"];
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The values that int8 codes of a row stand for, from the formula in float32:
// rne(clamp(x / s + z)), s = span / 255.
std::vector<double> int8_values(const at::Tensor& row, bool symmetric) {
  const auto* x = row.const_data_ptr<float>();
  float low = 0;
  float high = 0;
  for (std::int64_t i = 0; i < row.numel(); ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  float scale = symmetric ? std::max(-low, high) / 127.5f : (high - low) / 255;
  float zero = 0;
  if (!symmetric && scale != 0) {
    zero = std::nearbyint(std::clamp(-128 - low / scale, -128.0f, 127.0f));
  }
  if (scale == 0) scale = 0x1p-23f;
  std::vector<double> out;
  for (std::int64_t i = 0; i < row.numel(); ++i) {
    const float code =
        std::nearbyint(std::clamp(x[i] / scale + zero, -128.0f, 127.0f));
    out.push_back((double{code} - zero) * scale);
  }
  return out;
}

TEST(CompressedTensorRulesTest, Int8ProductsAreThoseOfTheFormula) {
  torch::manual_seed(1);
  for (const char* activations : {kInt8Token, kInt8Asymmetric}) {
    const bool symmetric = activations == kInt8Token;
    for (const CompressedSpec& spec :
         {int8_spec(activations), packed_spec(activations)}) {
      const at::Tensor w = weight_of(spec, at::kFloat);
      EXPECT_EQ(multiplies_int8(*encoding_of(w)),
                spec.format == CompressedFormat::IntQuantized);
      at::Tensor x = torch::randn({5, 96});
      x[1].zero_();
      x[2] = x[2].abs();
      x[3] = -x[3].abs();
      const at::Tensor bias = torch::randn({24});
      const at::Tensor y = at::linear(x, w, bias).to(at::kDouble);
      const at::Tensor values = mantissa::dequantize(w).to(at::kDouble);
      for (std::int64_t i = 0; i < 5; ++i) {
        const at::Tensor row =
            torch::tensor(int8_values(x[i], symmetric), at::kDouble);
        const at::Tensor sum = values.matmul(row) + bias;
        const at::Tensor bound =
            4e-7 * (values.abs().matmul(row.abs()) + 10 * row.abs().max()) +
            1e-6;
        EXPECT_TRUE(((y[i] - sum).abs() <= bound).all().item<bool>())
            << activations << ' ' << static_cast<int>(spec.format) << ", row "
            << i << ": " << (y[i] - sum).abs().max();
      }
    }
  }
}

// A row's result does not depend on the rows beside it or on its rank.
TEST(CompressedTensorRulesTest, TokensKeepTheirOwnScale) {
  torch::manual_seed(2);
  for (const CompressedSpec& spec :
       {int8_spec(kInt8Token), packed_spec(kFloat8Token)}) {
    const at::Tensor w = weight_of(spec, at::kBFloat16);
    const at::Tensor x = torch::randn({2, 3, 96}).to(at::kBFloat16);
    const at::Tensor y = at::linear(x, w);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    for (std::int64_t i = 0; i < 6; ++i) {
      const at::Tensor row = x.reshape({6, 96}).slice(0, i, i + 1);
      EXPECT_TRUE(torch::allclose(
          at::linear(row, w)[0], y.reshape({6, 24})[i], 1e-2, 1e-2));
    }
  }
}

TEST(CompressedTensorRulesTest, NanAndInfinityStayInTheirRow) {
  torch::manual_seed(3);
  const at::Tensor w = weight_of(int8_spec(kInt8Token), at::kFloat);
  at::Tensor x = torch::randn({3, 96});
  x[0][5] = NAN;
  x[1][7] = INFINITY;
  const at::Tensor y = at::linear(x, w);
  EXPECT_TRUE(y.slice(0, 0, 2).isnan().all().item<bool>());
  EXPECT_TRUE(y[2].isfinite().all().item<bool>());
  EXPECT_EQ(at::linear(torch::zeros({0, 96}), w).sizes(),
            (std::vector<std::int64_t>{0, 24}));
}

// Packed for the low-bit kernels: the scheme's activations, not the asked ones.
TEST(CompressedTensorRulesTest, PackedWeightsKeepTheScheme) {
  torch::manual_seed(4);
  const at::Tensor w = weight_of(packed_spec(kInt8Asymmetric), at::kFloat);
  const auto module = module_of(w);
  const at::Tensor x = torch::randn({4, 96});
  const at::Tensor before = at::linear(x, w);
  const auto report = pack_lowbit_(*module, Int8Compute::Group32);
  ASSERT_EQ(report.size(), 1u);
  ASSERT_EQ(report[0].refusal, "");
  const at::Tensor packed = weight_of(*module);
  EXPECT_THAT(describe(packed), HasSubstr("packed"));
  EXPECT_TRUE(torch::allclose(at::linear(x, packed), before, 1e-5, 1e-5));
}

class SchemeActivationsTest : public ::testing::Test {
 protected:
  // A checkpoint of module "a" whose config.json has these activations.
  std::filesystem::path save(const std::string& activations,
                             const std::string& scale = "",
                             const std::string& outputs = "null") {
    torch::manual_seed(5);
    const auto spec = int8_spec(kInt8Token);
    weight_ = weight_of(spec, at::kFloat);
    const auto module = module_of(weight_);
    const auto out = dir_.path() / std::to_string(count_++);
    save_checkpoint(*module, out, {.format = "compressed-tensors"});
    std::string config = contents(out / "config.json");
    const std::size_t from = config.find("\"input_activations\"");
    const std::size_t to = config.find('}', from) + 1;
    config.replace(from, to - from, "\"input_activations\": " + activations);
    const std::string none = "\"output_activations\": null";
    config.replace(
        config.find(none), none.size(), "\"output_activations\": " + outputs);
    dir_.write(out.filename() / "config.json", config);
    if (!scale.empty()) {
      auto tensors = support::load_tensors(out / "model.safetensors");
      for (const auto& [name, number] :
           {std::pair{scale, input_scale_},
            std::pair{std::string("a.input_zero_point"), input_zero_point_}}) {
        HostTensor value(DType::Float32, {1});
        *value.as<float>() = number;
        if (number != kAbsent) tensors.emplace(name, std::move(value));
      }
      support::save_tensors(out / "model.safetensors", tensors);
    }
    return out;
  }

  std::string refused(const std::string& activations,
                      const std::string& outputs = "null") {
    const auto module = plain_module();
    const auto path = save(activations, "", outputs);
    const std::string what = refusal([&] { load_checkpoint(*module, path); });
    EXPECT_FALSE(is_quantized_tensor(weight_of(*module)));
    EXPECT_THAT(what, HasSubstr("a.weight"));
    return what;
  }

  static constexpr float kAbsent = -1e6f;
  TempDir dir_;
  at::Tensor weight_;
  float input_scale_ = 0.25f;
  float input_zero_point_ = kAbsent;
  int count_ = 0;
};

TEST_F(SchemeActivationsTest, WhatIsNotRunIsRefusedByName) {
  EXPECT_THAT(refused(R"({"strategy":"block","dynamic":true})"),
              HasSubstr("input_activations.strategy is \"block\""));
  EXPECT_THAT(refused(R"({"num_bits":4,"strategy":"token","dynamic":true})"),
              HasSubstr("input_activations.num_bits is \"4\""));
  EXPECT_THAT(refused(R"({"strategy":"tensor_group","dynamic":"local"})"),
              HasSubstr("input_activations.dynamic is \"local\""));
  EXPECT_THAT(refused(R"({"type":"float","symmetric":false,"dynamic":true})"),
              HasSubstr("input_activations.symmetric is false for float"));
  EXPECT_THAT(refused(R"({"strategy":"token","dynamic":false})"),
              HasSubstr("input_activations.dynamic is false"));
  EXPECT_THAT(refused(R"({"strategy":"group","group_size":36,"dynamic":true})"),
              HasSubstr("input_activations.group_size is 36"));
  EXPECT_THAT(refused(R"({"scale_dtype":"torch.uint8","dynamic":true})"),
              HasSubstr("input_activations.scale_dtype is \"torch.uint8\""));
  for (const char* odd : {R"("actorder":"group")",
                          R"("block_structure":[1,128])",
                          R"("surprise":1)",
                          R"("group_size":32)",
                          R"("zp_dtype":"torch.float32","symmetric":false)"}) {
    const std::string word(odd + 1, std::string_view(odd).find('"', 1) - 1);
    EXPECT_THAT(refused(R"({"strategy":"token","dynamic":true,)" +
                        std::string(odd) + "}"),
                HasSubstr("input_activations." + word + " is "));
  }
  EXPECT_THAT(refused(R"({"group_size":-1,"dynamic":true})"),
              HasSubstr("input_activations.strategy is \"channel\""));
  EXPECT_THAT(refused(kInt8Static), HasSubstr("a.input_scale"));
  EXPECT_THAT(refused("null", R"({"num_bits":8})"),
              HasSubstr("output_activations"));
}

TEST_F(SchemeActivationsTest, StaticScalesAreLoadedRunAndSaved) {
  const auto path = save(kInt8Static, "a.input_scale");
  const auto module = plain_module();
  load_checkpoint(*module, path);
  const at::Tensor w = weight_of(*module);
  const at::Tensor x = torch::randn({3, 96}) * 16;
  const at::Tensor rounded = (x / 0.25).clamp(-128, 127).round() * 0.25;
  EXPECT_TRUE(torch::allclose(at::linear(x, w),
                              at::linear(rounded, mantissa::dequantize(w)),
                              1e-5,
                              1e-4));
  const auto packed = module_of(w);
  EXPECT_EQ(pack_lowbit_(*packed, Int8Compute::Float).front().refusal, "");
  EXPECT_TRUE(
      torch::equal(at::linear(x, weight_of(*packed)), at::linear(x, w)));
  EXPECT_THAT(describe(w), HasSubstr("input_scale float32 [1]"));
  EXPECT_TRUE(torch::equal(at::linear(x, w.slice(0, 8, 24)),
                           at::linear(x, w).slice(1, 8, 24)));
  const auto out = dir_.path() / "again";
  save_checkpoint(*module, out, {.format = "compressed-tensors"});
  const auto tensors = support::load_tensors(out / "model.safetensors");
  ASSERT_TRUE(tensors.contains("a.input_scale"));
  EXPECT_EQ(*tensors.at("a.input_scale").as<float>(), 0.25f);
  const auto again = plain_module();
  load_checkpoint(*again, out);
  EXPECT_TRUE(torch::equal(at::linear(x, weight_of(*again)), at::linear(x, w)));
  EXPECT_THAT(refusal([&] { save_checkpoint(*module, dir_.path() / "ao"); }),
              HasSubstr("static activations need scales"));
}

TEST_F(SchemeActivationsTest, StaticValuesThatAreNoneAreRefused) {
  const auto load = [&](const char* activations) {
    const auto path = save(activations, "a.input_scale");
    load_checkpoint(*plain_module(), path);
  };
  const auto what = [&](const char* activations) {
    return refusal([&] { load(activations); });
  };
  for (const float scale : {0.0f, -0.25f, NAN, INFINITY}) {
    input_scale_ = scale;
    EXPECT_THAT(what(kInt8Static),
                AllOf(HasSubstr("a.input_scale"), HasSubstr("finite scale")))
        << scale;
  }
  input_scale_ = 0.25f;
  // Symmetric codes have no zero point, whatever the files hold.
  input_zero_point_ = NAN;
  EXPECT_NO_THROW(load(kInt8Static));
  for (const float zero : {NAN, 300.0f, -7.5f}) {
    input_zero_point_ = zero;
    EXPECT_THAT(
        what(kInt8StaticAsymmetric),
        AllOf(HasSubstr("a.input_zero_point"), HasSubstr("-128 to 127")))
        << zero;
  }
  input_zero_point_ = kAbsent;
  EXPECT_THAT(what(kInt8StaticAsymmetric),
              HasSubstr("\"a.input_zero_point\" is not in the files"));
  input_zero_point_ = -7.0f;
  EXPECT_NO_THROW(load(kInt8StaticAsymmetric));
}

// As with activations that are not multiplied as codes.
TEST_F(SchemeActivationsTest, NanSpoilsItsRowOfStaticCodes) {
  const auto module = plain_module();
  load_checkpoint(*module, save(kInt8Static, "a.input_scale"));
  at::Tensor x = torch::randn({3, 96});
  x[0][5] = NAN;
  x[1][7] = INFINITY;
  const at::Tensor y = at::linear(x, weight_of(*module));
  EXPECT_TRUE(y[0].isnan().all().item<bool>());
  EXPECT_TRUE(y.slice(0, 1, 3).isfinite().all().item<bool>());
}

// Either convention keeps dynamic activations.
TEST_F(SchemeActivationsTest, SavingKeepsDynamicActivations) {
  for (const char* activations : {kInt8Token, kInt8Asymmetric}) {
    const auto path = save(activations);
    const auto module = plain_module();
    load_checkpoint(*module, path);
    const at::Tensor x = torch::randn({3, 96});
    const at::Tensor y = at::linear(x, weight_of(*module));
    for (const char* format : {"compressed-tensors", "torchao"}) {
      const auto out = dir_.path() / (std::to_string(count_++) + format);
      save_checkpoint(*module, out, {.format = format});
      const auto again = plain_module();
      load_checkpoint(*again, out);
      const at::Tensor other = at::linear(x, weight_of(*again));
      // torchao multiplies by the reciprocal: some codes are a step apart.
      EXPECT_LT((other - y).abs().max().item<double>(), 0.15) << format;
      const at::Tensor plain = at::linear(x, mantissa::dequantize(weight_));
      EXPECT_GT((other - plain).abs().max().item<double>(), 1e-3) << format;
    }
  }
}

}  // namespace
}  // namespace mantissa
