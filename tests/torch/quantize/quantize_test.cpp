#include <mantissa/torch/quantize.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>

#include "torch/refusal.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::refusal;

// Two linears by holders, an embedding, a norm, and experts as a member of its
// own.
struct NetImpl : torch::nn::Module {
  NetImpl() {
    embed = register_module("embed", torch::nn::Embedding(32, 64));
    first = register_module("first", torch::nn::Linear(64, 64));
    second = register_module("second", torch::nn::Linear(64, 48));
    norm = register_module(
        "norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({64})));
    experts = register_parameter("experts", torch::randn({2, 48, 64}));
  }
  at::Tensor forward(const at::Tensor& ids) {
    return second(torch::relu(norm(first(embed(ids)))));
  }
  torch::nn::Embedding embed = nullptr;
  torch::nn::Linear first = nullptr;
  torch::nn::Linear second = nullptr;
  torch::nn::LayerNorm norm = nullptr;
  at::Tensor experts;
};
TORCH_MODULE(Net);

const QuantizedParameter& find(const QuantizeReport& report,
                               const std::string& name) {
  for (const QuantizedParameter& p : report.parameters) {
    if (p.name == name) return p;
  }
  throw std::runtime_error("no parameter " + name);
}

class QuantizeModuleTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(4); }
  Net net_;
  const at::Tensor ids_ = torch::tensor({1, 2, 30});
};

TEST_F(QuantizeModuleTest, TakesEveryLinearAndNothingElse) {
  const at::Tensor before = net_(ids_);
  const QuantizeReport report = quantize_(*net_, Int8WeightOnlyConfig{});
  EXPECT_EQ(report.count(ParameterAction::Quantized), 2);
  EXPECT_EQ(find(report, "first.weight").format, "Int8Tensor");
  EXPECT_EQ(find(report, "first.bias").action, ParameterAction::Kept);
  EXPECT_EQ(find(report, "experts").action, ParameterAction::Kept);
  EXPECT_TRUE(is_quantized_tensor(net_->first->weight));
  EXPECT_TRUE(is_quantized_tensor(net_->named_parameters()["first.weight"]));
  EXPECT_FALSE(is_quantized_tensor(net_->embed->weight));
  const at::Tensor after = net_(ids_);
  EXPECT_FALSE(torch::equal(before, after));
  EXPECT_TRUE(torch::allclose(before, after, 0.1, 0.1));
  for (const QuantizedParameter& p : report.parameters) {
    EXPECT_FALSE(p.reason.empty()) << p.name;
  }
  EXPECT_THAT(report.text(), HasSubstr("2 quantized"));
}

TEST_F(QuantizeModuleTest, ASecondCallKeepsWhatIsQuantized) {
  quantize_(*net_, Int8WeightOnlyConfig{});
  const auto* impl = net_->first->weight.unsafeGetTensorImpl();
  const QuantizeReport report = quantize_(*net_, Int8WeightOnlyConfig{});
  EXPECT_EQ(report.count(ParameterAction::Quantized), 0);
  EXPECT_THAT(find(report, "first.weight").reason,
              HasSubstr("is quantized already"));
  EXPECT_EQ(net_->first->weight.unsafeGetTensorImpl(), impl);
}

TEST_F(QuantizeModuleTest, RulesReachAnyParameter) {
  const QuantizeReport report = quantize_(
      *net_,
      FqnToConfig{{{"embed", Int8WeightOnlyConfig{}},
                   {"re:.*second", none},
                   {"_default", Int4WeightOnlyConfig{{.group_size = 32}}}}});
  EXPECT_EQ(find(report, "embed.weight").format, "Int8Tensor");
  EXPECT_EQ(find(report, "first.weight").format, "Int4Tensor");
  EXPECT_EQ(find(report, "second.weight").action, ParameterAction::Kept);
  EXPECT_EQ(net_(ids_).sizes(), (std::vector<std::int64_t>{3, 48}));
}

TEST_F(QuantizeModuleTest, AMemberOfTheUsersClassIsReported) {
  const FqnToConfig config{{{"experts", Float8WeightOnlyConfig{}}}};
  EXPECT_THAT(refusal([&] { quantize_(*net_, config, {.strict = true}); }),
              HasSubstr("still holds the plain tensor"));
  EXPECT_FALSE(is_quantized_tensor(net_->named_parameters()["experts"]));
  const QuantizeReport report = quantize_(*net_, config);
  EXPECT_EQ(find(report, "experts").action, ParameterAction::RegistryOnly);
  EXPECT_TRUE(is_quantized_tensor(net_->named_parameters()["experts"]));
  EXPECT_FALSE(is_quantized_tensor(net_->experts));
}

TEST_F(QuantizeModuleTest, ReplaceParameterReachesTheMember) {
  const auto choice =
      Float8WeightOnlyConfig{}.choose({2, 48, 64}, DType::Float32);
  replace_parameter(*net_,
                    net_->experts,
                    to_quantized_tensor(net_->experts, choice.encoding));
  EXPECT_TRUE(is_quantized_tensor(net_->experts));
  EXPECT_TRUE(net_->experts.is_same(net_->named_parameters()["experts"]));
  at::Tensor stranger = torch::randn({2});
  EXPECT_THAT(refusal([&] { replace_parameter(*net_, stranger, stranger); }),
              HasSubstr("no parameter of"));
}

TEST_F(QuantizeModuleTest, FailingChangesNothing) {
  {
    const torch::NoGradGuard no_grad;
    net_->second->weight[3][5] = NAN;
  }
  EXPECT_THAT(refusal([&] { quantize_(*net_, Int8WeightOnlyConfig{}); }),
              HasSubstr("NaN or infinite"));
  EXPECT_FALSE(is_quantized_tensor(net_->first->weight));
  EXPECT_THAT(refusal([&] {
                quantize_(*net_,
                          FqnToConfig{{{"frist", Int8WeightOnlyConfig{}}}});
              }),
              HasSubstr("'frist' matches no parameter"));
}

TEST_F(QuantizeModuleTest, WhatDoesNotFitIsSkippedWithTheReason) {
  const Int4WeightOnlyConfig config{{.group_size = 128}};
  const QuantizeReport report = quantize_(*net_, config);
  EXPECT_EQ(find(report, "first.weight").action, ParameterAction::Skipped);
  EXPECT_THAT(find(report, "first.weight").reason,
              HasSubstr("not a multiple of group_size 128"));
  EXPECT_THAT(refusal([&] { quantize_(*net_, config, {.strict = true}); }),
              HasSubstr("nothing was changed"));
}

TEST(QuantizeModules, SharedModulesAndTiedWeightsStayOne) {
  torch::nn::Linear shared(16, 16);
  torch::nn::Sequential chain(shared, torch::nn::ReLU(), shared);
  const QuantizeReport report = quantize_(*chain, Int8WeightOnlyConfig{});
  EXPECT_EQ(report.count(ParameterAction::Quantized), 1);
  EXPECT_EQ(chain->forward(torch::randn({2, 16})).size(1), 16);

  struct Tied : torch::nn::Module {
    Tied() {
      embed = register_module("embed", torch::nn::Embedding(32, 16));
      head = register_module(
          "head",
          torch::nn::Linear(torch::nn::LinearOptions(16, 32).bias(false)));
      head->named_parameters(false);
      head->weight = embed->weight;
      struct Access : Module {
        static auto registry() { return &Access::parameters_; }
      };
      ((*head).*(Access::registry()))["weight"] = embed->weight;
    }
    torch::nn::Embedding embed = nullptr;
    torch::nn::Linear head = nullptr;
  };
  auto tied = std::make_shared<Tied>();
  const QuantizeReport both =
      quantize_(*tied, FqnToConfig{{{"head", Int8WeightOnlyConfig{}}}});
  EXPECT_EQ(both.count(ParameterAction::Quantized), 1);
  EXPECT_TRUE(tied->head->weight.is_same(tied->embed->weight));
  EXPECT_TRUE(is_quantized_tensor(tied->embed->weight));
}

// A shared module stands in the tree twice; its member is still one more
// handle.
TEST(QuantizeModules, AMemberOfASharedModuleIsReported) {
  struct Owner : torch::nn::Module {
    Owner() { w = register_parameter("w", torch::randn({32, 64})); }
    at::Tensor w;
  };
  torch::nn::Module root;
  const auto owner = std::make_shared<Owner>();
  root.register_module("a", owner);
  root.register_module("b", owner);
  const QuantizeReport report =
      quantize_(root, FqnToConfig{{{"a.w", Int8WeightOnlyConfig{}}}});
  EXPECT_EQ(find(report, "a.w").action, ParameterAction::RegistryOnly);
  EXPECT_THAT(find(report, "a.w").tied, ::testing::ElementsAre("b.w"));
}

TEST(QuantizeModules, Conv2dRunsWithIntxWeights) {
  torch::manual_seed(6);
  torch::nn::Sequential net(
      torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).padding(1)),
      torch::nn::Conv3d(4, 4, 3));
  IntxWeightOnlyConfig config;
  config.weight_dtype = DType::Int4;
  config.granularity = PerGroup{4};
  const QuantizeReport report = quantize_(
      *net, FqnToConfig{{{"0", config}, {"1", IntxWeightOnlyConfig{}}}});
  EXPECT_EQ(find(report, "0.weight").action, ParameterAction::Quantized)
      << report.text();
  EXPECT_EQ(find(report, "1.weight").action, ParameterAction::Skipped);
  const auto& conv = *net[0]->as<torch::nn::Conv2d>();
  ASSERT_TRUE(is_quantized_tensor(conv.weight));
  EXPECT_EQ(fields_of(conv.weight)[1].sizes(),
            (std::vector<std::int64_t>{16, 2, 3, 3}));
  const at::Tensor x = torch::randn({2, 8, 5, 5}).requires_grad_();
  const at::Tensor y = net[0]->as<torch::nn::Conv2d>()->forward(x);
  const at::Tensor values = mantissa::dequantize(conv.weight);
  const at::Tensor plain_x = x.detach().clone().requires_grad_();
  const at::Tensor truth = torch::conv2d(plain_x, values, conv.bias, 1, 1);
  EXPECT_TRUE(torch::allclose(y, truth, 1e-5, 1e-5));
  y.sum().backward();
  truth.sum().backward();
  EXPECT_TRUE(torch::allclose(x.grad(), plain_x.grad(), 1e-4, 1e-5));
  // Others say what there is.
  torch::nn::Sequential other(torch::nn::Conv2d(8, 16, 3));
  EXPECT_THAT(
      find(quantize_(*other, FqnToConfig{{{"0", Int8WeightOnlyConfig{}}}}),
           "0.weight")
          .reason,
      HasSubstr("choose intx_weight_only, which takes the weight [N, C, H, W] "
                "of a Conv2d"));
}

// torchao gives convolutions float8 activations on a GPU: here they say no.
TEST(QuantizeModules, Float8ConvolutionsAreNamedWithWhatThereIs) {
  torch::nn::Sequential net(torch::nn::Conv2d(16, 16, 3),
                            torch::nn::Conv3d(16, 16, 3),
                            torch::nn::Linear(16, 16));
  Float8DynamicActivationFloat8WeightConfig config;
  config.granularity = std::vector<Granularity>{PerTensor{}, PerTensor{}};
  QuantizeOptions options;
  options.filter = [](const torch::nn::Module&, const std::string&) {
    return true;
  };
  const QuantizeReport report = quantize_(*net, config, options);
  for (const char* name : {"0.weight", "1.weight"}) {
    EXPECT_EQ(find(report, name).action, ParameterAction::Skipped);
    EXPECT_THAT(find(report, name).reason,
                HasSubstr("takes the weight [N, C, H, W] of a Conv2d"));
    EXPECT_THAT(report.text(), HasSubstr(std::string(name) + ": skipped"));
  }
  EXPECT_EQ(find(report, "2.weight").action, ParameterAction::Quantized);
  // A rule that names the module, and strict: an error, and nothing is done.
  torch::nn::Sequential other(torch::nn::Conv2d(16, 16, 3),
                              torch::nn::Linear(16, 16));
  options.strict = true;
  EXPECT_THAT(
      refusal([&] {
        quantize_(*other, FqnToConfig{{{"0", config}, {"1", config}}}, options);
      }),
      ::testing::AllOf(HasSubstr("0.weight"),
                       HasSubstr("takes weights [N, K] or [E, N, K]"),
                       HasSubstr("of a Conv2d")));
  EXPECT_FALSE(is_quantized_tensor(other[1]->as<torch::nn::Linear>()->weight));
}

TEST(QuantizeModules, StaticActivationsTakeAScaleFromTheProgram) {
  torch::manual_seed(7);
  torch::nn::Sequential net(torch::nn::Linear(32, 16));
  const at::Tensor x = torch::randn({5, 32});
  HostTensor scale(DType::Float32, {1, 1});
  *scale.as<float>() = 0.02F;
  HostTensor zero(DType::Int8, {1, 1});
  *zero.as<std::int8_t>() = -9;
  Int8StaticActivationInt8WeightConfig config{
      {.act_quant_scale = scale,
       .act_quant_zero_point = zero,
       .granularity = Granularity(PerTensor{}),
       .act_mapping_type = MappingType::Asymmetric}};
  quantize_(*net, config);
  const auto& linear = *net[0]->as<torch::nn::Linear>();
  const auto fields = fields_of(linear.weight);
  ASSERT_EQ(fields.size(), 5u);
  const at::Tensor codes = ((x * (1 / 0.02F)).round() - 9).clamp(-128, 127);
  const at::Tensor truth =
      ((codes + 9) * 0.02F).mm(mantissa::dequantize(linear.weight).t()) +
      linear.bias;
  EXPECT_TRUE(torch::allclose(net->forward(x), truth, 1e-4, 1e-4));
  config.act_quant_scale = {};
  EXPECT_THAT(refusal([&] { quantize_(*net, config); }),
              HasSubstr("without act_quant_scale"));
}

TEST(QuantizeModules, AWeightWithoutElementsIsSkipped) {
  torch::nn::Linear empty(4, 0);
  const QuantizeReport report = quantize_(*empty, Int8WeightOnlyConfig{});
  EXPECT_EQ(find(report, "weight").action, ParameterAction::Skipped);
  EXPECT_THAT(find(report, "weight").reason, HasSubstr("no elements: [0, 4]"));
}

TEST(QuantizeModules, AttentionsProjectionIsLeft) {
  torch::nn::MultiheadAttention attention(16, 2);
  const QuantizeReport report = quantize_(*attention, Int8WeightOnlyConfig{});
  EXPECT_EQ(report.count(ParameterAction::Quantized), 0);
}

TEST_F(QuantizeModuleTest, DequantizesBackAndClones) {
  quantize_(*net_, Int8WeightOnlyConfig{});
  const at::Tensor quantized = net_(ids_);
  EXPECT_THAT(refusal([&] { net_->first->clone(); }),
              HasSubstr("mantissa::clone_module"));
  auto copy = std::dynamic_pointer_cast<torch::nn::LinearImpl>(
      clone_module(*net_->first));
  ASSERT_NE(copy, nullptr);
  EXPECT_TRUE(is_quantized_tensor(copy->weight));
  EXPECT_FALSE(copy->weight.is_same(net_->first->weight));
  EXPECT_TRUE(is_quantized_tensor(net_->first->weight));
  EXPECT_EQ(dequantize_(*net_), 2);
  EXPECT_FALSE(is_quantized_tensor(net_->first->weight));
  EXPECT_TRUE(torch::allclose(net_(ids_), quantized, 1e-5, 1e-5));
}

TEST_F(QuantizeModuleTest, ModulesMoveQuantizedWeights) {
  quantize_(*net_, Int8WeightOnlyConfig{});
  const at::Tensor values = mantissa::dequantize(net_->first->weight);
  net_->to(c10::kBFloat16);
  EXPECT_TRUE(is_quantized_tensor(net_->first->weight));
  EXPECT_EQ(net_->first->weight.scalar_type(), c10::kBFloat16);
  EXPECT_TRUE(torch::equal(mantissa::dequantize(net_->first->weight),
                           values.to(c10::kBFloat16)));
  EXPECT_EQ(net_(ids_).scalar_type(), c10::kBFloat16);
}

TEST_F(QuantizeModuleTest, LoraTrainsBesideAFrozenBase) {
  quantize_(*net_, Int8WeightOnlyConfig{});
  const at::Tensor a = torch::randn({4, 64}).requires_grad_();
  const at::Tensor b = torch::zeros({48, 4}).requires_grad_();
  const at::Tensor x = torch::randn({5, 64});
  const at::Tensor y = net_->second(x) + x.mm(a.t()).mm(b.t());
  y.pow(2).sum().backward();
  EXPECT_GT(b.grad().abs().sum().item<float>(), 0);
  EXPECT_FALSE(net_->second->weight.grad().defined());
}

}  // namespace
}  // namespace mantissa
