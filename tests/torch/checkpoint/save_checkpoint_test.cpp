// What save_checkpoint() refuses, and what it writes once.
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/quantize.h>

#include "support/exchange.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"
#include "torch/checkpoint/module_source.h"
#include "torch/refusal.h"
#include "torch/tensor/weights.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::directory_contents;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using tests::refusal;

class SaveCheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }
  fs::path out() const { return dir_.path() / "out"; }

  std::vector<std::string> names_in(const fs::path& directory) const {
    std::vector<std::string> names;
    for (const auto& item :
         support::load_tensors(directory / "model.safetensors")) {
      names.push_back(item.first);
    }
    return names;
  }

  support::TempDir dir_;
};

TEST_F(SaveCheckpointTest, LikeInsideWhatIsReplacedIsRefusedUntouched) {
  torch::nn::Sequential net(torch::nn::Linear(8, 8));
  support::write_small_model(out(), 1);
  support::write_small_model(out() / "kept/model", 1);
  fs::create_directory_symlink(out() / "kept", dir_.path() / "link");
  const auto before = directory_contents(out());
  for (const fs::path& like : {out(),
                               out() / "kept/model",
                               out() / "kept/model/model.safetensors",
                               dir_.path() / "link/model",
                               out() / "kept/../kept/model"}) {
    EXPECT_THAT(refusal([&] {
                  save_checkpoint(
                      *net, out(), {.overwrite = true, .like = like});
                }),
                AllOf(HasSubstr("options.like: " + like.string()),
                      HasSubstr("which is replaced; copy it elsewhere")));
    EXPECT_EQ(directory_contents(out()), before);
  }
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
  // Beside it is fine.
  support::write_small_model(dir_.path() / "beside", 1);
  save_checkpoint(
      *net, out(), {.overwrite = true, .like = dir_.path() / "beside"});
  EXPECT_TRUE(fs::exists(out() / "tokenizer.json"));
}

TEST_F(SaveCheckpointTest, NamesThatNoFileHoldsAreRefused) {
  torch::nn::Module module;
  module.register_parameter("__metadata__", torch::randn({2, 2}));
  EXPECT_THAT(refusal([&] { save_checkpoint(module, out()); }),
              AllOf(HasSubstr("tensor \"__metadata__\": safetensors keeps this "
                              "name for its metadata"),
                    HasSubstr("give it another name")));
  torch::nn::Module odd;
  odd.register_buffer("caf\xe9_table", torch::randn({2, 2}));
  EXPECT_THAT(
      refusal([&] { save_checkpoint(odd, out()); }),
      AllOf(HasSubstr("tensor \"caf\\xe9_table\""), HasSubstr("UTF-8")));
  // Quantized weights too, whose names stand in the metadata first.
  torch::nn::Sequential net(torch::nn::Linear(32, 16));
  quantize_(*net, Int8WeightOnlyConfig{});
  EXPECT_THAT(refusal([&] {
                save_checkpoint(
                    *net, out(), {.rename = [](const std::string& name) {
                      return "\xff." + name;
                    }});
              }),
              HasSubstr("names in safetensors files are UTF-8"));
  EXPECT_TRUE(fs::is_empty(dir_.path()));
  save_checkpoint(
      module, out(), {.rename = [](const std::string&) { return "m.w"; }});
  EXPECT_THAT(names_in(out()), UnorderedElementsAre("m.w"));
}

TEST_F(SaveCheckpointTest, TensorsThatNoFileHoldsAreNamed) {
  torch::nn::Module sparse;
  sparse.register_buffer("mask", torch::eye(4).to_sparse());
  EXPECT_THAT(refusal([&] { save_checkpoint(sparse, out()); }),
              AllOf(HasSubstr("save_checkpoint: mask: expected a dense tensor"),
                    HasSubstr("to_dense()")));
  torch::nn::Module phases;
  phases.register_buffer("phase", torch::zeros({4}, c10::kComplexFloat));
  EXPECT_THAT(refusal([&] { save_checkpoint(phases, out()); }),
              HasSubstr("save_checkpoint: phase: files cannot hold "
                        "ComplexFloat"));
  EXPECT_TRUE(fs::is_empty(dir_.path()));
  torch::nn::Module dense;
  dense.register_buffer("mask", torch::eye(4));
  save_checkpoint(dense, out());
  EXPECT_THAT(refusal([&] { load_checkpoint(sparse, out()); }),
              HasSubstr("mask: expected a dense tensor"));
}

// A BatchNorm that stands in the tree under two names.
struct Shared : torch::nn::Module {
  Shared() {
    norm = register_module("first", torch::nn::BatchNorm1d(4));
    register_module("second", norm.ptr());
  }
  torch::nn::BatchNorm1d norm = nullptr;
};

TEST_F(SaveCheckpointTest, ASharedModuleIsWrittenOnceAndLoadsByEitherName) {
  Shared saved;
  saved.norm->running_mean.fill_(3);
  save_checkpoint(saved, out());
  EXPECT_THAT(names_in(out()),
              UnorderedElementsAre("first.weight",
                                   "first.bias",
                                   "first.running_mean",
                                   "first.running_var",
                                   "first.num_batches_tracked"));
  Shared loaded;
  EXPECT_TRUE(load_checkpoint(loaded, out()).missing.empty());
  EXPECT_TRUE(
      torch::equal(loaded.norm->running_mean, saved.norm->running_mean));
  // Files of others hold both names; they must agree.
  torch::nn::Module both;
  both.register_module("first", torch::nn::BatchNorm1d(4).ptr());
  auto second = both.register_module("second", torch::nn::BatchNorm1d(4));
  save_checkpoint(both, out(), {.overwrite = true});
  load_checkpoint(loaded, out());
  EXPECT_EQ(loaded.norm->running_mean.sum().item<float>(), 0);
  second->running_mean.fill_(5);
  save_checkpoint(both, out(), {.overwrite = true});
  EXPECT_THAT(refusal([&] { load_checkpoint(loaded, out()); }),
              HasSubstr("first.running_mean and second.running_mean differ"));
}

// Counts the copies that operators make of their inputs.
class CopyCount {
 public:
  CopyCount()
      : handle_(at::addThreadLocalCallback(
            at::RecordFunctionCallback(
                [](const at::RecordFunction& call)
                    -> std::unique_ptr<at::ObserverContext> {
                  if (std::string(call.name()) == "aten::clone") ++count_;
                  return nullptr;
                })
                .scopes({at::RecordScope::FUNCTION}))) {
    count_ = 0;
  }
  ~CopyCount() { at::removeCallback(handle_); }
  int count() const { return count_; }

 private:
  static thread_local int count_;
  at::CallbackHandle handle_;
};
thread_local int CopyCount::count_ = 0;

// As from a GPU: what is not in the file's form is copied, each part once,
// however the rows are read.
TEST_F(SaveCheckpointTest, EachPartIsCopiedToTheHostOnce) {
  ModuleSource source(nullptr);
  const auto encoding = tests::int8_encoding({16, 32}, DType::Float32);
  std::vector<at::Tensor> fields;
  for (const char* name : {"a.weight", "b.weight"}) {
    NewTensor tensor;
    tensor.stored.name = name;
    fields = {torch::randint(-128, 128, {32, 16}, c10::kChar).t(),
              torch::rand({16, 2}).slice(1, 0, 1),
              torch::zeros({16, 2}, c10::kChar).slice(1, 0, 1)};
    source.add(std::move(tensor), encoding, fields);
  }
  std::vector<std::byte> codes(32);
  std::vector<std::byte> scale(4);
  const CopyCount copies;
  for (const std::size_t tensor : {0, 1}) {
    for (std::int64_t row = 0; row < 16; ++row) {
      source.read_rows(3 * tensor, row, 1, codes);
      source.read_rows(3 * tensor + 1, row, 1, scale);
    }
  }
  EXPECT_EQ(copies.count(), 4);
  const auto* expected = fields[1].contiguous().const_data_ptr<float>();
  EXPECT_EQ(std::memcmp(scale.data(), expected + 15, 4), 0);
}

}  // namespace
}  // namespace mantissa
