#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "support/cpu_clock.h"
#include "support/hostile_files.h"
#include "support/raw_safetensors.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::raw_safetensors;
using support::TempDir;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string one(const std::string& name) {
  return raw_safetensors("{\"" + name +
                             R"(":{"dtype":"U8","shape":[2],)"
                             R"("data_offsets":[0,2]}})",
                         2);
}

void expect_refusal(const fs::path& path,
                    ErrorKind kind,
                    const testing::Matcher<std::string>& says) {
  try {
    open_checkpoint(path);
    FAIL() << "opened " << path;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(std::string(error.what()), says);
  }
}

std::vector<std::string> names(const CheckpointSource& source) {
  std::vector<std::string> names;
  for (const auto& tensor : source.tensors()) names.push_back(tensor.name);
  return names;
}

std::vector<std::string> companion_names(const CheckpointSource& source) {
  std::vector<std::string> names;
  for (const auto& companion : source.companions()) {
    names.push_back(companion.name);
    EXPECT_TRUE(fs::is_regular_file(companion.path));
  }
  return names;
}

TEST(OpenCheckpoint, FileAloneAndInItsDirectory) {
  const TempDir dir;
  const fs::path path = dir.write("m/weights.safetensors", one("w"));
  EXPECT_THAT(open_checkpoint(path)->config_json(), IsEmpty());
  dir.write("m/config.json", "{\"a\":1}");
  dir.write("m/tokenizer.json", "{}");
  for (const fs::path& name : {path, dir.path() / "m"}) {
    const auto source = open_checkpoint(name);
    EXPECT_THAT(names(*source), ElementsAre("w"));
    EXPECT_EQ(source->config_json(), "{\"a\":1}");
    EXPECT_THAT(companion_names(*source), ElementsAre("tokenizer.json"));
  }
  EXPECT_EQ(open_checkpoint(path)->kind(), "safetensors");
  EXPECT_EQ(open_checkpoint(dir.path() / "m")->kind(), "safetensors directory");
}

TEST(OpenCheckpoint, ContentDecidesBeforeTheName) {
  const TempDir dir;
  EXPECT_THAT(names(*open_checkpoint(dir.write("weights.bin", one("w")))),
              ElementsAre("w"));
  expect_refusal(dir.write("m.safetensors", "PK\x03\x04 and more"),
                 ErrorKind::Usage,
                 AllOf(HasSubstr("torch.save"), HasSubstr("save_file")));
}

TEST(OpenCheckpoint, HeaderSizeIsNotTakenForAPickle) {
  // A header of 0x0280 bytes begins with the bytes of a pickle, 80 02.
  std::string header =
      R"({"w":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  for (const std::size_t size : {0x0280U, 0x0380U, 0x0480U, 0x0580U}) {
    header.resize(size, ' ');
    const TempDir dir;
    const fs::path path =
        dir.write("model.safetensors", raw_safetensors(header, 2));
    EXPECT_THAT(names(*open_checkpoint(path)), ElementsAre("w"));
  }
}

TEST(OpenCheckpoint, DirectoryTakesTheModelFile) {
  const TempDir dir;
  dir.write("model.safetensors", one("model"));
  dir.write("consolidated.safetensors", one("consolidated"));
  EXPECT_THAT(names(*open_checkpoint(dir.path())), ElementsAre("model"));
}

TEST(OpenCheckpoint, DirectoryTakesTheIndex) {
  const TempDir dir;
  dir.write("x-1.safetensors", one("w"));
  dir.write("consolidated.safetensors", one("consolidated"));
  dir.write("model.safetensors.index.json",
            R"({"weight_map":{"w":"x-1.safetensors"}})");
  EXPECT_THAT(names(*open_checkpoint(dir.path())), ElementsAre("w"));
}

TEST(OpenCheckpoint, DirectoryTakesCompleteShardsWithoutIndex) {
  const TempDir dir;
  dir.write("model-00001-of-00002.safetensors", one("a"));
  expect_refusal(dir.path() / "model-00002-of-00002.safetensors",
                 ErrorKind::Usage,
                 HasSubstr("no such file"));
  dir.write("model-00002-of-00002.safetensors", one("b"));
  EXPECT_THAT(names(*open_checkpoint(dir.path())), ElementsAre("a", "b"));
  dir.write("extra.safetensors", one("c"));
  expect_refusal(
      dir.path(),
      ErrorKind::Usage,
      AllOf(HasSubstr("3 .safetensors files"), HasSubstr("name one of them")));
}

TEST(OpenCheckpoint, CacheSnapshotIsFollowed) {
  const TempDir dir;
  const fs::path repo = dir.path() / "models--org--name";
  dir.write("models--org--name/blobs/b1", one("w"));
  dir.write("models--org--name/blobs/b2", "{}");
  const fs::path snapshot = repo / "snapshots" / "abc";
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/b1", snapshot / "model.safetensors");
  fs::create_symlink("../../blobs/b2", snapshot / "config.json");
  fs::create_symlink("../../blobs/b2", snapshot / "tokenizer.json");
  fs::create_symlink("../../blobs/gone", snapshot / "vocab.json");
  for (const fs::path& path : {snapshot, repo}) {
    const auto source = open_checkpoint(path);
    EXPECT_THAT(names(*source), ElementsAre("w"));
    EXPECT_EQ(source->config_json(), "{}");
    EXPECT_THAT(companion_names(*source), ElementsAre("tokenizer.json"));
  }
  fs::create_directories(repo / "snapshots" / "old");
  expect_refusal(repo, ErrorKind::Usage, HasSubstr("abc, old"));
  dir.write("models--org--name/refs/main", "abc\n");
  EXPECT_THAT(names(*open_checkpoint(repo)), ElementsAre("w"));
  dir.write("models--org--name/refs/main", "../../../etc");
  expect_refusal(repo, ErrorKind::Input, HasSubstr("expected a revision"));
}

TEST(OpenCheckpoint, BrokenSymlinkOfTheWeightsIsNamed) {
  const TempDir dir;
  fs::create_symlink("../../blobs/gone", dir.path() / "model.safetensors");
  expect_refusal(dir.path() / "model.safetensors",
                 ErrorKind::Usage,
                 HasSubstr("a symlink to ../../blobs/gone"));
  expect_refusal(dir.path(),
                 ErrorKind::Input,
                 AllOf(HasSubstr("a symlink to ../../blobs/gone"),
                       HasSubstr("is the download complete?")));
}

TEST(OpenCheckpoint, ConfigMustBeAnObject) {
  const TempDir dir;
  dir.write("model.safetensors", one("w"));
  for (const auto& file : support::hostile_model_configs()) {
    SCOPED_TRACE(file.name);
    dir.write("config.json", file.bytes);
    expect_refusal(dir.path(), ErrorKind::Input, HasSubstr(file.says));
  }
}

// What took gigabytes or minutes: nesting, many keys, many empty containers.
TEST(OpenCheckpoint, ConfigIsBounded) {
  const TempDir dir;
  dir.write("model.safetensors", one("w"));
  dir.write(
      "config.json",
      "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  expect_refusal(
      dir.path(),
      ErrorKind::Input,
      HasSubstr("config.json: unusable JSON at byte 37: nested deeper than 32 "
                "levels"));
  std::string empties = "{\"a\":[{}";
  for (int i = 0; i < 1'600'000; ++i) empties += ",{}";
  dir.write("config.json", empties + "]}");
  expect_refusal(dir.path(),
                 ErrorKind::Input,
                 HasSubstr("more than 1000000 values and keys"));
}

TEST(OpenCheckpoint, ManyKeysTakeLinearTime) {
  const TempDir dir;
  dir.write("model.safetensors", one("w"));
  std::string keys = "{\"model_type\":\"x\"";
  for (int i = 0; i < 300'000; ++i) keys += fmt::format(",\"{}\":1", i);
  dir.write("config.json", keys + "}");
  const auto before = support::CpuClock::now();
  EXPECT_EQ(open_checkpoint(dir.path())->tensors().size(), 1U);
  EXPECT_LT(support::CpuClock::now() - before, std::chrono::seconds(5));
}

TEST(OpenCheckpoint, HubIdIsAnswered) {
  expect_refusal("HuggingFaceTB/SmolLM2-135M",
                 ErrorKind::Usage,
                 HasSubstr("hf download HuggingFaceTB/SmolLM2-135M"));
  expect_refusal(
      "./org/name", ErrorKind::Usage, testing::Not(HasSubstr("hf download")));
  expect_refusal(
      "missing.safetensors", ErrorKind::Usage, HasSubstr("no such file"));
  expect_refusal("", ErrorKind::Usage, HasSubstr("no such file"));
}

TEST(OpenCheckpoint, ForeignFilesAreAnswered) {
  const TempDir dir;
  const auto refused = [&](std::string_view bytes, const char* says) {
    expect_refusal(dir.write("pytorch_model.bin", bytes),
                   ErrorKind::Usage,
                   HasSubstr(says));
  };
  refused("\x80\x02}q\x01.", "pickle files are never loaded");
  refused(std::string_view("PK\x03\x04", 4), "torch.save");
  refused("version https://git-lfs.github.com/spec/v1", "git lfs pull");
  refused("\x89HDF\r\n\x1a\n", "HDF5");
  refused("hello", "not a checkpoint");
  refused("", "not a checkpoint");
  expect_refusal(dir.write("config.json", "{}"),
                 ErrorKind::Usage,
                 HasSubstr("name the directory"));
  expect_refusal("/dev/null",
                 ErrorKind::Usage,
                 HasSubstr("neither a file nor a directory"));
}

TEST(OpenCheckpoint, DirectoriesWithoutWeightsAreAnswered) {
  const auto refused = [](std::vector<std::string> files, const char* says) {
    const TempDir dir;
    for (const std::string& file : files) dir.write(file, "{}");
    expect_refusal(dir.path(), ErrorKind::Usage, HasSubstr(says));
  };
  refused({}, "holds no weights");
  refused({"config.json", "tokenizer.json"}, "holds no weights");
  refused({"config.json", "pytorch_model.bin"}, "save_pretrained");
  refused({"model.pth"}, "save_file");
  refused({"tf_model.h5"}, "TensorFlow");
  refused({"flax_model.msgpack"}, "Flax");
  refused({"model.onnx"}, "ONNX");
  refused({"a.gguf", "b.gguf"}, "2 .gguf files: name one of them");
  refused({"model_index.json"}, "diffusers");
  refused({"adapter_config.json", "adapter_model.safetensors"}, "LoRA");
  refused({"diffusion_pytorch_model.safetensors.index.json"}, "name that file");
}

TEST(OpenCheckpoint, DtypeIsChecked) {
  const TempDir dir;
  const fs::path path = dir.write("m.safetensors", one("w"));
  EXPECT_NO_THROW(open_checkpoint(path, {.dtype = DType::Float16}));
  EXPECT_THROW(open_checkpoint(path, {.dtype = DType::Int8}), Error);
}

const char* const kDirectory[] = {"model.safetensors",
                                  "old/model.safetensors",
                                  "1_Pooling/config.json",
                                  "2_Dense/model.safetensors",
                                  "2_Dense/pytorch_model.bin",
                                  "2_Dense/config.json",
                                  "onnx/model.onnx",
                                  "onnx/config.json",
                                  "openvino/openvino_model.xml",
                                  "chat_template.jinja",
                                  "additional_chat_templates/rag.jinja",
                                  "config.json",
                                  "generation_config.json",
                                  "special_tokens_map.json",
                                  "vocab.txt",
                                  "merges.txt",
                                  "tokenizer_config.json",
                                  "tokenizer.model",
                                  "config_sentence_transformers.json",
                                  "sentence_bert_config.json",
                                  "preprocessor_config.json",
                                  "LICENSE.txt",
                                  "README.md",
                                  "modeling_x.py",
                                  "README.py",
                                  "pytorch_model.bin",
                                  "model.pt",
                                  "model.gguf",
                                  "training_args.bin",
                                  "other.safetensors",
                                  ".gitattributes",
                                  "rust_model.ot",
                                  "train_script.py"};

TEST(OpenCheckpoint, CompanionsAreWhatBelongsBesideTheWeights) {
  const TempDir dir;
  for (const char* file : kDirectory) {
    dir.write(
        file,
        std::string_view(file).starts_with("model.safet") ? one("w") : "{}");
  }
  dir.write("modules.json",
            R"([{"idx":0,"path":""},{"path":"1_Pooling"},{"path":"2_Dense"},)"
            R"({"path":"../outside"},{"path":"/etc"},{"path":7},{}])");
  EXPECT_THAT(companion_names(*open_checkpoint(dir.path())),
              ElementsAre("1_Pooling/config.json",
                          "2_Dense/config.json",
                          "2_Dense/model.safetensors",
                          "LICENSE.txt",
                          "README.md",
                          "additional_chat_templates/rag.jinja",
                          "chat_template.jinja",
                          "config_sentence_transformers.json",
                          "generation_config.json",
                          "merges.txt",
                          "modules.json",
                          "preprocessor_config.json",
                          "sentence_bert_config.json",
                          "special_tokens_map.json",
                          "tokenizer.model",
                          "tokenizer_config.json",
                          "vocab.txt"));
}

}  // namespace
}  // namespace mantissa
