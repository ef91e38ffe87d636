#include <mantissa/torch/checkpoint.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>
#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/configs/registry.h>
#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantize.h>

#include "support/exchange.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"
#include "torch/refusal.h"
#include "torch/tensor/weights.h"
#include "torch/tree_module.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using tests::refusal;
using tests::TreeModule;

// The same bytes and encoding, whatever the tensors are.
void expect_same(const at::Tensor& a,
                 const at::Tensor& b,
                 const std::string& what) {
  ASSERT_EQ(is_quantized_tensor(a), is_quantized_tensor(b)) << what;
  if (!is_quantized_tensor(a)) {
    EXPECT_EQ(a.scalar_type(), b.scalar_type()) << what;
    EXPECT_TRUE(torch::equal(a, b)) << what;
    return;
  }
  EXPECT_EQ(describe(a), describe(b)) << what;
  EXPECT_EQ(encoding_of(a)->attributes_json(),
            encoding_of(b)->attributes_json())
      << what;
  const auto ours = fields_of(a);
  const auto theirs = fields_of(b);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(
        std::memcmp(ours[i].data_ptr(), theirs[i].data_ptr(), ours[i].nbytes()),
        0)
        << what << ", field " << i;
  }
}

void expect_same(torch::nn::Module& a, torch::nn::Module& b) {
  const auto ours = a.named_parameters();
  const auto theirs = b.named_parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (const auto& item : ours) {
    expect_same(item.value(), theirs[item.key()], item.key());
  }
  for (const auto& item : a.named_buffers()) {
    expect_same(item.value(), b.named_buffers()[item.key()], item.key());
  }
}

torch::nn::Sequential make_net(c10::ScalarType dtype = c10::kBFloat16) {
  torch::nn::Sequential net(torch::nn::Linear(128, 64),
                            torch::nn::BatchNorm1d(64),
                            torch::nn::Linear(64, 32));
  net->to(dtype);
  return net;
}

// Words as the tool takes them: a scheme of compressed-tensors or a config.
bool is_scheme(const std::string& words) {
  return words.starts_with('W') || words.starts_with("FP8");
}
ConfigPtr config_of(const std::string& words) {
  return is_scheme(words) ? parse_compressed_scheme(words)
                          : parse_config_words(words);
}

class CheckpointFormatTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CheckpointFormatTest, RoundTripIsExact) {
  torch::manual_seed(3);
  const TempDir dir;
  auto net = make_net();
  const std::string config = GetParam();
  const QuantizeReport report = quantize_(*net, config_of(config));
  ASSERT_GT(report.count(ParameterAction::Quantized), 0) << report.text();
  SaveOptions options;
  if (is_scheme(config)) options.format = "compressed-tensors";
  const SaveReport saved = save_checkpoint(*net, dir.path() / "out", options);
  EXPECT_THAT(saved.files, ElementsAre("model.safetensors"));
  auto plain = make_net();
  const LoadReport loaded = load_checkpoint(*plain, dir.path() / "out");
  EXPECT_EQ(static_cast<std::int64_t>(loaded.quantized.size()),
            report.count(ParameterAction::Quantized));
  expect_same(*net, *plain);
  // Into what is quantized already: the tensors stay, their fields change.
  auto quantized = make_net();
  quantize_(*quantized, config_of(config));
  const auto* impl =
      quantized->named_parameters()["0.weight"].unsafeGetTensorImpl();
  load_checkpoint(*quantized, dir.path() / "out");
  expect_same(*net, *quantized);
  EXPECT_EQ(quantized->named_parameters()["0.weight"].unsafeGetTensorImpl(),
            impl);
}

std::string bytes_in(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_P(CheckpointFormatTest, PackedWeightsAreWrittenAsTheyWereStored) {
  torch::manual_seed(4);
  const TempDir dir;
  auto net = make_net();
  const QuantizeReport report = quantize_(*net, config_of(GetParam()));
  SaveOptions options;
  if (is_scheme(GetParam())) options.format = "compressed-tensors";
  save_checkpoint(*net, dir.path() / "stored", options);
  std::int64_t packed = 0;
  for (const PackedWeight& each : pack_lowbit_(*net, Int8Compute::Group32)) {
    packed += each.refusal.empty() ? 1 : 0;
  }
  // torchao's activations in float8 keep a weight as it is.
  const bool stays =
      std::string(GetParam()).starts_with("float8_dynamic_activation");
  EXPECT_EQ(packed, stays ? 0 : report.count(ParameterAction::Quantized));
  save_checkpoint(*net, dir.path() / "packed", options);
  const std::string stored = bytes_in(dir.path() / "stored/model.safetensors");
  EXPECT_FALSE(stored.empty());
  EXPECT_EQ(bytes_in(dir.path() / "packed/model.safetensors"), stored);
}

INSTANTIATE_TEST_SUITE_P(
    CompressedTensors,
    CheckpointFormatTest,
    ::testing::Values("W4A16", "W4A16_ASYM", "W8A8", "FP8_DYNAMIC"));

INSTANTIATE_TEST_SUITE_P(
    Torchao,
    CheckpointFormatTest,
    ::testing::Values(
        "int8_weight_only",
        "int8_weight_only:granularity=per_group(32)",
        "int8_dynamic_activation_int8_weight",
        "int4_weight_only:group_size=32",
        "int4_weight_only:group_size=32,int4_packing_format=tile_packed_to_4d",
        "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
        "int8_dynamic_activation_intx_weight:weight_dtype=int4",
        "float8_weight_only",
        "float8_dynamic_activation_float8_weight:granularity=per_row"));

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(5); }
  fs::path out() const { return dir_.path() / "out"; }
  TempDir dir_;
};

// A module with the names of a checkpoint, all plain and zero.
std::shared_ptr<TreeModule> module_of(const fs::path& checkpoint) {
  auto module = std::make_shared<TreeModule>();
  const auto source = open_checkpoint(checkpoint);
  for (const SourceTensor& tensor : source->tensors()) {
    module->add(tensor.name, torch::zeros(tensor.shape, c10::kBFloat16));
  }
  return module;
}

TEST_F(CheckpointTest, BytesAreThoseOfTheTool) {
  const fs::path in = dir_.path() / "in";
  support::write_small_model(in, 2);
  const auto ran = support::run_tool({"quantize",
                                      in,
                                      "-c",
                                      "int8_weight_only",
                                      "--ignore",
                                      "model.layers.1.mlp.down_proj",
                                      "-o",
                                      dir_.path() / "tool"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  auto module = module_of(in);
  load_checkpoint(*module, in);
  const FqnToConfig config{{{"model.layers.1.mlp.down_proj", none},
                            {"re:model.layers.*proj", Int8WeightOnlyConfig{}}}};
  quantize_(*module, config);
  save_checkpoint(
      *module,
      out(),
      {.config = std::make_shared<FqnToConfig>(config), .like = in});
  const auto ours = support::load_tensors(out() / "model.safetensors");
  const auto theirs =
      support::load_tensors(dir_.path() / "tool/model.safetensors");
  ASSERT_EQ(ours.size(), theirs.size());
  for (const auto& [name, tensor] : theirs) {
    ASSERT_TRUE(ours.contains(name)) << name;
    const HostTensor& mine = ours.at(name);
    EXPECT_EQ(mine.dtype(), tensor.dtype()) << name;
    EXPECT_EQ(mine.shape(), tensor.shape()) << name;
    EXPECT_EQ(std::memcmp(mine.data(),
                          tensor.data(),
                          static_cast<std::size_t>(tensor.nbytes())),
              0)
        << name;
  }
  auto a = open_checkpoint(out())->metadata();
  auto b = open_checkpoint(dir_.path() / "tool")->metadata();
  for (auto* metadata : {&a, &b}) {
    metadata->erase("mantissa");
    metadata->erase("tensor_names");    // the order of the modules
    metadata->erase("lm_head.weight");  // the module has none
  }
  EXPECT_EQ(a, b);
  EXPECT_TRUE(fs::exists(out() / "tokenizer.json"));
  const auto verified = support::run_tool({"verify", out()});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
}

TEST_F(CheckpointTest, WhatTheToolWroteLoadsWithoutEncodingAgain) {
  const fs::path in = dir_.path() / "in";
  support::write_small_model(in, 1);
  ASSERT_EQ(
      support::run_tool(
          {"quantize", in, "-c", "int4_weight_only:group_size=32", "-o", out()})
          .exit_code,
      0);
  auto module = module_of(in);
  const LoadReport report = load_checkpoint(*module, out());
  EXPECT_THAT(
      report.quantized,
      ::testing::UnorderedElementsAre("model.layers.0.self_attn.q_proj.weight",
                                      "model.layers.0.mlp.down_proj.weight"));
  EXPECT_THAT(report.unexpected, IsEmpty());
  const auto stored = support::load_tensors(out() / "model.safetensors");
  const at::Tensor w =
      module->named_parameters()["model.layers.0.mlp.down_proj.weight"];
  const HostTensor& qdata =
      stored.at("model.layers.0.mlp.down_proj._weight_qdata");
  EXPECT_EQ(std::memcmp(fields_of(w)[0].data_ptr(),
                        qdata.data(),
                        static_cast<std::size_t>(qdata.nbytes())),
            0);
}

TEST_F(CheckpointTest, ShardsHoldWhatOneFileHolds) {
  auto net = make_net();
  quantize_(*net, Int8WeightOnlyConfig{});
  const SaveReport saved =
      save_checkpoint(*net, out(), {.max_shard_bytes = 1024});
  EXPECT_GT(saved.files.size(), 2u);
  EXPECT_TRUE(fs::exists(out() / "model.safetensors.index.json"));
  EXPECT_EQ(saved.files[0].substr(0, 12), "model-00001-");
  auto other = make_net();
  load_checkpoint(*other, out());
  expect_same(*net, *other);
}

TEST_F(CheckpointTest, CompressedTensorsCarryCodesOver) {
  auto net = make_net();
  quantize_(*net, Int8WeightOnlyConfig{});
  save_checkpoint(*net, out(), {.format = "compressed-tensors"});
  auto other = make_net();
  load_checkpoint(*other, out());
  for (const char* name : {"0.weight", "2.weight"}) {
    const at::Tensor a = net->named_parameters()[name];
    const at::Tensor b = other->named_parameters()[name];
    EXPECT_EQ(encoding_of(b)->format_name(), "pack-quantized");
    EXPECT_TRUE(torch::equal(mantissa::dequantize(a), mantissa::dequantize(b)));
  }
  // And back: torchao's file of the loaded module has the first one's codes.
  save_checkpoint(*other, dir_.path() / "back");
  auto third = make_net();
  load_checkpoint(*third, dir_.path() / "back");
  EXPECT_TRUE(torch::equal(fields_of(third->named_parameters()["0.weight"])[0],
                           fields_of(net->named_parameters()["0.weight"])[0]));
}

TEST_F(CheckpointTest, WhatAFormatCannotHoldIsNamedAndNothingIsWritten) {
  auto net = make_net();
  quantize_(*net, Int4WeightOnlyConfig{{.group_size = 32}});
  EXPECT_THAT(refusal([&] {
                save_checkpoint(*net, out(), {.format = "compressed-tensors"});
              }),
              ::testing::AllOf(HasSubstr("0.weight"), HasSubstr("Int4Tensor")));
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
  EXPECT_THAT(
      refusal([&] { save_checkpoint(*net, out(), {.format = "gguf"}); }),
      HasSubstr("expected torchao, compressed-tensors"));
}

TEST_F(CheckpointTest, AnExistingDirectoryIsKeptUnlessOverwritten) {
  auto net = make_net();
  save_checkpoint(*net, out());
  quantize_(*net, Int8WeightOnlyConfig{});
  EXPECT_THAT(refusal([&] { save_checkpoint(*net, out()); }),
              HasSubstr("SaveOptions::overwrite"));
  save_checkpoint(*net, out(), {.overwrite = true});
  auto other = make_net();
  EXPECT_EQ(load_checkpoint(*other, out()).quantized.size(), 2u);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), {}), 1);
}

TEST_F(CheckpointTest, MismatchesAreNamedAndChangeNothing) {
  auto net = make_net();
  quantize_(*net, Int8WeightOnlyConfig{});
  save_checkpoint(*net, out());
  auto other = make_net(c10::kFloat);
  const at::Tensor before = other[0]->as<torch::nn::Linear>()->weight.clone();
  EXPECT_THAT(refusal([&] { load_checkpoint(*other, out()); }),
              HasSubstr("0.weight: expected float32 (the module's), found "
                        "bfloat16"));
  auto grouped = make_net();
  quantize_(*grouped, Int8WeightOnlyConfig{{.granularity = PerGroup{32}}});
  EXPECT_THAT(refusal([&] { load_checkpoint(*grouped, out()); }),
              HasSubstr("0.weight: field scale: expected float32 [64, 4] (the "
                        "module's), found float32 [64, 1]"));
  auto int4 = make_net();
  quantize_(*int4, Int4WeightOnlyConfig{{.group_size = 32}});
  EXPECT_THAT(
      refusal([&] { load_checkpoint(*int4, out()); }),
      HasSubstr("expected Int4Tensor (the module's), found Int8Tensor"));
  torch::nn::Sequential narrow(torch::nn::Linear(64, 64));
  narrow->to(c10::kBFloat16);
  EXPECT_THAT(refusal([&] { load_checkpoint(*narrow, out()); }),
              HasSubstr("0.weight: expected [64, 64] (the module's), found "
                        "[64, 128]"));
  load_checkpoint(*other, out(), {.other_dtype = OtherDType::Convert});
  const at::Tensor& after = other[0]->as<torch::nn::Linear>()->weight;
  EXPECT_TRUE(is_quantized_tensor(after));
  EXPECT_EQ(after.scalar_type(), c10::kFloat);
}

// A parameter, which is written first, and a buffer.
torch::nn::Module with_buffer(const at::Tensor& buffer) {
  torch::nn::Module module;
  module.register_parameter("a", torch::randn({2, 4}));
  module.register_buffer("b", buffer);
  return module;
}

TEST_F(CheckpointTest, BuffersThatCannotBeWrittenChangeNothing) {
  torch::nn::Module saved = with_buffer(torch::randn({2, 4}));
  save_checkpoint(saved, out());
  const auto kept = [&](const at::Tensor& buffer) {
    torch::nn::Module target = with_buffer(buffer);
    const at::Tensor before = target.named_parameters()["a"].detach().clone();
    const std::string message =
        refusal([&] { load_checkpoint(target, out()); });
    EXPECT_TRUE(torch::equal(target.named_parameters()["a"], before));
    return message;
  };
  EXPECT_THAT(kept(torch::randn({4}).expand({2, 4})),
              HasSubstr("b: its elements share memory"));
  const at::Tensor frozen = [] {
    const c10::InferenceMode inference;
    return torch::randn({2, 4});
  }();
  EXPECT_THAT(kept(frozen), HasSubstr("b: a buffer that was made in"));
}

TEST_F(CheckpointTest, StrictNamesWhatIsMissingOnEitherSide) {
  torch::nn::Sequential two(torch::nn::Linear(8, 8), torch::nn::Linear(8, 8));
  torch::nn::Sequential one(torch::nn::Linear(8, 8));
  save_checkpoint(*one, out());
  const at::Tensor before = two[0]->as<torch::nn::Linear>()->weight.clone();
  EXPECT_THAT(refusal([&] { load_checkpoint(*two, out()); }),
              HasSubstr("1.weight: expected by the module"));
  EXPECT_TRUE(torch::equal(before, two[0]->as<torch::nn::Linear>()->weight));
  const LoadReport report = load_checkpoint(*two, out(), {.strict = false});
  EXPECT_THAT(report.missing, ElementsAre("1.weight", "1.bias"));
  EXPECT_THAT(report.plain, ElementsAre("0.weight", "0.bias"));
  save_checkpoint(*two, out(), {.overwrite = true});
  EXPECT_THAT(refusal([&] { load_checkpoint(*one, out()); }),
              HasSubstr("1.weight: found in the files, not in the module"));
}

TEST_F(CheckpointTest, NamesCanBeMapped) {
  torch::nn::Linear linear(16, 16);
  quantize_(*linear, Int8WeightOnlyConfig{});
  EXPECT_THAT(refusal([&] { save_checkpoint(*linear, out()); }),
              HasSubstr("MODULE.PARAMETER"));
  const NameMapping rename = [](const std::string& name) {
    return "head." + name;
  };
  save_checkpoint(*linear, out(), {.rename = rename});
  torch::nn::Linear other(16, 16);
  load_checkpoint(*other, out(), {.rename = rename});
  expect_same(*linear, *other);
}

TEST_F(CheckpointTest, TiedWeightsAreWrittenOnce) {
  const at::Tensor w = torch::randn({32, 16});
  TreeModule tied;
  tied.add("embed.weight", w);
  tied.add("head.weight", tied.named_parameters()["embed.weight"]);
  const at::Tensor embed = tied.named_parameters()["embed.weight"];
  quantize_(tied, FqnToConfig{{{"embed", Int8WeightOnlyConfig{}}}});
  save_checkpoint(tied, out());
  EXPECT_EQ(support::load_tensors(out() / "model.safetensors").size(), 3u);
  TreeModule other;
  other.add("embed.weight", torch::zeros({32, 16}));
  other.add("head.weight", other.named_parameters()["embed.weight"]);
  load_checkpoint(other, out());
  EXPECT_TRUE(other.named_parameters()["embed.weight"].is_same(
      other.named_parameters()["head.weight"]));
  expect_same(tied, other);
}

TEST_F(CheckpointTest, ExpertsAndTrainingWeights) {
  TreeModule module;
  module.add("mlp.experts", torch::randn({2, 32, 64}));
  module.add("mlp.router", torch::randn({2, 64}));
  quantize_(module, FqnToConfig{{{"mlp.experts", Float8WeightOnlyConfig{}}}});
  save_checkpoint(module, out());
  TreeModule other;
  other.add("mlp.experts", torch::zeros({2, 32, 64}));
  other.add("mlp.router", torch::zeros({2, 64}));
  load_checkpoint(other, out());
  expect_same(module, other);

  torch::nn::Sequential net(torch::nn::Linear(64, 32));
  const at::Tensor values = net[0]->as<torch::nn::Linear>()->weight.detach();
  replace_parameter(
      *net[0],
      net[0]->as<torch::nn::Linear>()->weight,
      fake_quantized_tensor(values,
                            tests::int8_encoding({32, 64}, DType::Float32)));
  save_checkpoint(*net, dir_.path() / "training");
  torch::nn::Sequential plain(torch::nn::Linear(64, 32));
  load_checkpoint(*plain, dir_.path() / "training");
  EXPECT_TRUE(torch::equal(plain[0]->as<torch::nn::Linear>()->weight, values));
  {
    const torch::NoGradGuard no_grad;
    values.zero_();
  }
  load_checkpoint(*net, dir_.path() / "training");
  EXPECT_TRUE(is_training_tensor(net[0]->as<torch::nn::Linear>()->weight));
  EXPECT_TRUE(torch::equal(plain[0]->as<torch::nn::Linear>()->weight, values));
}

TEST_F(CheckpointTest, AMemberThatWouldKeepPlainValuesIsRefused) {
  struct Owner : torch::nn::Module {
    Owner() { w = register_parameter("w", torch::randn({32, 64})); }
    at::Tensor w;
  };
  struct Root : torch::nn::Module {
    Root() { owner = register_module("owner", std::make_shared<Owner>()); }
    std::shared_ptr<Owner> owner;
  };
  TreeModule saved;
  saved.add("owner.w", torch::randn({32, 64}));
  quantize_(saved, FqnToConfig{{{"owner.w", Int8WeightOnlyConfig{}}}});
  save_checkpoint(saved, out());
  Root root;
  EXPECT_THAT(refusal([&] { load_checkpoint(root, out()); }),
              HasSubstr("owner.w: somebody still holds the plain tensor"));
  EXPECT_FALSE(is_quantized_tensor(root.named_parameters()["owner.w"]));
  const LoadReport report = load_checkpoint(root, out(), {.strict = false});
  EXPECT_THAT(report.registry_only, ElementsAre("owner.w"));
}

TEST_F(CheckpointTest, MetaModulesAreFilled) {
  auto net = make_net();
  quantize_(*net, Int8WeightOnlyConfig{});
  TreeModule saved;
  saved.add("a.weight", torch::randn({4, 4}));
  save_checkpoint(saved, out());
  TreeModule meta;
  meta.add("a.weight", torch::empty({4, 4}, c10::kMeta));
  EXPECT_THAT(refusal([&] { save_checkpoint(meta, dir_.path() / "x"); }),
              HasSubstr("meta device"));
  load_checkpoint(meta, out());
  expect_same(saved, meta);
  EXPECT_TRUE(meta.named_parameters()["a.weight"].requires_grad());
}

TEST_F(CheckpointTest, MetaTrainingWeightsStayTrainingWeights) {
  const auto encoding = tests::int8_encoding({32, 64}, DType::Float32);
  torch::nn::Sequential net(torch::nn::Linear(64, 32));
  save_checkpoint(*net, out());
  torch::nn::Sequential meta(torch::nn::Linear(64, 32));
  auto& linear = *meta[0]->as<torch::nn::Linear>();
  replace_parameter(linear,
                    linear.weight,
                    fake_quantized_tensor(linear.weight.detach(), encoding));
  linear.weight.set_data(linear.weight.to(c10::kMeta));
  load_checkpoint(*meta, out());
  ASSERT_TRUE(is_training_tensor(linear.weight));
  EXPECT_TRUE(linear.weight.requires_grad());
  const at::Tensor plain = net[0]->as<torch::nn::Linear>()->weight.detach();
  EXPECT_TRUE(torch::equal(mantissa::dequantize(linear.weight), plain));
  const at::Tensor x = torch::randn({3, 64});
  const at::Tensor grid =
      mantissa::dequantize(to_quantized_tensor(plain, encoding));
  EXPECT_TRUE(torch::allclose(
      linear.forward(x), at::linear(x, grid, linear.bias), 1e-5, 1e-6));
  EXPECT_FALSE(torch::equal(plain, grid));
}

TEST_F(CheckpointTest, TiedNaNIsEqualToItself) {
  const at::Tensor w = torch::randn({8, 4});
  w[1][2] = NAN;
  TreeModule apart;
  apart.add("embed.weight", w);
  apart.add("head.weight", w.clone());
  save_checkpoint(apart, out());
  TreeModule tied;
  tied.add("embed.weight", torch::zeros({8, 4}));
  tied.add("head.weight", tied.named_parameters()["embed.weight"]);
  load_checkpoint(tied, out());
  EXPECT_TRUE(
      tied.named_parameters()["head.weight"][1][2].isnan().item<bool>());
}

TEST_F(CheckpointTest, Conv2dAndStaticActivationsRoundTrip) {
  HostTensor scale(DType::Float32, {1, 1});
  *scale.as<float>() = 0.02F;
  const FqnToConfig config{
      {{"0", IntxWeightOnlyConfig{}},
       {"1",
        Int8StaticActivationInt8WeightConfig{{.act_quant_scale = scale}}}}};
  const auto make = [] {
    return torch::nn::Sequential(torch::nn::Conv2d(8, 16, 3),
                                 torch::nn::Linear(32, 16));
  };
  auto net = make();
  EXPECT_EQ(quantize_(*net, config).count(ParameterAction::Quantized), 2);
  save_checkpoint(*net, out());
  auto plain = make();
  EXPECT_EQ(load_checkpoint(*plain, out()).quantized.size(), 2u);
  expect_same(*net, *plain);
  load_checkpoint(*plain, out());
  expect_same(*net, *plain);
}

TEST_F(CheckpointTest, ACastModuleSavesItsFieldsDType) {
  auto net = make_net();
  quantize_(*net, Int8WeightOnlyConfig{});
  net->to(c10::kFloat);
  const SaveReport report = save_checkpoint(*net, out());
  ASSERT_EQ(report.warnings.size(), 2u);
  EXPECT_THAT(
      report.warnings[0],
      HasSubstr("0.weight: saved as bfloat16, the dtype of its fields"));
}

}  // namespace
}  // namespace mantissa
