// A file of 5 MB that means no good takes no command more than 256 MiB or 5 s,
// whatever its reader makes of it.

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/raw_gguf.h"
#include "support/raw_safetensors.h"
#include "support/run_tool.h"
#include "support/small_model.h"
#include "support/temp_dir.h"
#include "support/torchao_source.h"
#include "support/yardstick.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::raw;
using support::raw_safetensors;
using support::raw_string;
using support::RawGguf;
using support::run_tool;
using support::TempDir;
using support::ToolProcess;
using support::ToolResult;

constexpr std::size_t kSize = 5'000'000;
constexpr std::int64_t kMemory = std::int64_t{256} << 20;
constexpr double kSeconds = 5;
#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;  // only that nothing goes wrong is checked
#else
constexpr bool kSanitized = false;
#endif

using Words = std::vector<std::string>;

// `piece(0)`, `piece(1)`, ... with a separator, as many as fit beside `taken`
// bytes.
std::string many(const std::function<std::string(int)>& piece,
                 std::string_view separator = ",",
                 std::size_t taken = 200) {
  std::string out = piece(0);
  for (int i = 1;; ++i) {
    const std::string next = piece(i);
    if (out.size() + separator.size() + next.size() + taken > kSize) return out;
    out.append(separator).append(next);
  }
}

std::string repeated(std::string_view text, std::size_t taken = 200) {
  std::string out;
  while (out.size() + text.size() + taken <= kSize) out += text;
  return out;
}

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

// What a bounded run looks like, whatever its exit code.
void expect_bounded(const Words& words, const ToolResult& result) {
  std::string line;
  for (const std::string& word : words) line += word.substr(0, 60) + " ";
  EXPECT_LE(result.exit_code, 7) << line << result.err.substr(0, 1000);
  EXPECT_NE(result.exit_code, 1) << line << result.err.substr(0, 1000);
  if (kSanitized) return;
  EXPECT_LE(result.peak_memory, kMemory) << line;
  // Virtual machines change their speed.
  const bool in_time = result.cpu_seconds <= kSeconds ||
                       result.cpu_seconds <= kSeconds * support::slowness();
  EXPECT_TRUE(in_time) << line << result.cpu_seconds << " s";
}

// A run without bounds must not take the machine along.
void limit_children() {
  const auto lower = [](auto resource, rlim_t bound) {
    struct rlimit limit{};
    ::getrlimit(resource, &limit);
    limit.rlim_cur = std::min(limit.rlim_cur, bound);
    ::setrlimit(resource, &limit);
  };
  lower(RLIMIT_CPU, 600);
  if (!kSanitized) lower(RLIMIT_AS, rlim_t{4} << 30);
}

void run_bounded(const Words& words) {
  limit_children();
  expect_bounded(words, run_tool(words));
}

// What a case is about: the views of `inspect` and `plan` and what `diff` says
// grow with the tensors and their names only.
enum class Worst { Reading, Tensors };

// The commands that read a checkpoint.
void use_model(const TempDir& dir,
               const fs::path& path,
               Worst worst = Worst::Reading) {
  const std::string model = path.string();
  run_bounded({"inspect", model, "--json", "--stats"});
  run_bounded({"verify", model});
  run_bounded({"plan", model, "-c", "int8_weight_only", "--json"});
  run_bounded({"convert", model, "-o", (dir.path() / "converted").string()});
  run_bounded({"quantize",
               model,
               "-c",
               "int8_weight_only",
               "--allow-unknown-names",
               "--allow-skipped",
               "-o",
               (dir.path() / "quantized").string()});
  if (worst == Worst::Reading) return;
  run_bounded({"inspect", model, "--all"});
  run_bounded({"inspect", model, "--tree"});
  run_bounded({"diff", model, model});
  run_bounded({"plan", model, "-c", "int8_weight_only"});
}

// --- safetensors ---

constexpr const char* kLlama = R"({"architectures": ["LlamaForCausalLM"],
  "num_hidden_layers": 1, "tie_word_embeddings": false})";

void use_weights(std::string_view bytes,
                 Worst worst = Worst::Reading,
                 std::string_view config = kLlama) {
  ASSERT_LE(bytes.size(), kSize);
  const TempDir dir;
  dir.write("m/config.json", config);
  dir.write("m/model.safetensors", bytes);
  use_model(dir, dir.path() / "m", worst);
}

void use_header(const std::string& header, Worst worst = Worst::Reading) {
  use_weights(raw_safetensors("{" + header + "}", 0), worst);
}

void use_tensors(const std::string& header, std::string_view config = kLlama) {
  use_weights(raw_safetensors("{" + header + "}", 0), Worst::Tensors, config);
}

std::string empty_tensor(const std::string& name,
                         std::string_view shape = "[0,32]") {
  return fmt::format(
      R"("{}":{{"dtype":"F32","shape":{},"data_offsets":[0,0]}})", name, shape);
}

TEST(SafetensorsBounds, ManyTensors) {
  use_tensors(many([](int i) { return empty_tensor(std::to_string(i)); }));
}

TEST(SafetensorsBounds, ManyLayers) {
  use_tensors(many([](int i) {
    return empty_tensor(fmt::format("model.layers.{}.mlp.up_proj.weight", i));
  }));
}

TEST(SafetensorsBounds, ManyExperts) {
  use_tensors(many([](int i) {
                return empty_tensor(
                    fmt::format("model.layers.0.mlp.experts.{}.{}_proj.weight",
                                i / 3,
                                i % 3 == 0   ? "up"
                                : i % 3 == 1 ? "gate"
                                             : "down"));
              }),
              R"({"architectures": ["Qwen3MoeForCausalLM"]})");
}

TEST(SafetensorsBounds, ManyDimensions) {
  std::string shape = "[0";
  for (int i = 0; i < 63; ++i) shape += ",1";
  use_tensors(many(
      [&](int i) { return empty_tensor(std::to_string(i), shape + "]"); }));
}

TEST(SafetensorsBounds, LongNames) {
  use_tensors(many([](int i) {
    return empty_tensor(std::string(4000, 'n') + std::to_string(i));
  }));
  use_tensors(many([](int i) {
    std::string name;
    for (int n = 0; n < 600; ++n) name += "\\u0001";
    return empty_tensor(name + std::to_string(i));
  }));
  use_tensors(many([](int i) {
    std::string name;
    for (int n = 0; n < 2000; ++n) name += "a.";
    return empty_tensor(name + std::to_string(i));
  }));
}

TEST(SafetensorsBounds, Nesting) {
  use_header("\"w\":" + nested(kSize / 2 - 100));
}

TEST(SafetensorsBounds, Metadata) {
  const auto metadata = [](const std::string& entries) {
    use_header("\"__metadata__\":{" + entries + "}");
  };
  metadata("\"a\":\"" + std::string(kSize - 200, 'x') + "\"");
  metadata("\"a\":\"" + repeated("\\u0001") + "\"");
  metadata(many([](int i) { return fmt::format("\"{}\":\"\"", i); }));
}

TEST(SafetensorsBounds, MetadataOfTorchao) {
  const auto metadata = [](const std::string& names,
                           const std::string& attributes) {
    use_header("\"__metadata__\":{\"format\":\"pt\",\"tensor_names\":\"" +
               names + "\",\"w\":\"" + attributes + "\"}");
  };
  const std::string tensor = R"({\"_type\":\"Tensor\"})";
  metadata("[" + many([](int i) { return fmt::format("\\\"{}\\\"", i); }) + "]",
           tensor);
  metadata("[" + repeated("0,") + "0]", tensor);
  metadata("[" + repeated("[],") + "0]", tensor);
  metadata(nested(kSize / 2 - 200), tensor);
  const std::string names = R"([\"w\"])";
  metadata(names, nested(kSize / 2 - 200));
  metadata(names, R"({\"_type\":\"Int4Tensor\",\"_data\":{)" + many([](int i) {
                    return fmt::format("\\\"{}\\\":0", i);
                  }) + "}}");
  metadata(names,
           R"({\"_type\":\"Int4Tensor\",\"_data\":{\"shape\":[)" +
               repeated("1,") + "1]}}");
  metadata(names,
           R"({\"_type\":\"Int4Tensor\",\"_tensor_data_names\":[)" +
               many([](int i) { return fmt::format("\\\"{}\\\"", i); }) +
               R"(],\"_data\":{}})");
}

TEST(SafetensorsBounds, ManyQuantizedTensors) {
  support::TorchaoSource one;
  one.add("m.w",
          support::encode_as("int8_weight_only",
                             support::smooth_weight({1, 1}, 0)));
  const std::string attributes =
      nlohmann::json(one.source.metadata().at("m.w")).dump();
  constexpr int kCount = 9'500;  // 4.9 MB
  std::string names;
  std::string metadata;
  std::string tensors;
  std::size_t at = 0;
  for (int i = 0; i < kCount; ++i) {
    const char* comma = i == 0 ? "" : ",";
    names += fmt::format("{}\\\"{}.m.w\\\"", comma, i);
    metadata += fmt::format(",\"{}.m.w\":{}", i, attributes);
    for (const SourceTensor& tensor : one.source.tensors()) {
      const std::size_t end =
          at + static_cast<std::size_t>(tensor.stored_bytes);
      tensors += fmt::format(
          R"(,"{}.{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
          i,
          tensor.name,
          tensor.stored_type,
          fmt::join(tensor.shape, ","),
          at,
          end);
      at = end;
    }
  }
  use_weights(raw_safetensors("{\"__metadata__\":{\"tensor_names\":\"[" +
                                  names + "]\"" + metadata + "}" + tensors +
                                  "}",
                              at));
}

TEST(SafetensorsBounds, WideAndTallMatrices) {
  for (const char* shape : {"[1,1200000]", "[1200000,1]", "[1200000,1,1]"}) {
    use_weights(raw_safetensors(
        fmt::format(R"({{"model.layers.0.mlp.up_proj.weight":{{"dtype":"F32",)"
                    R"("shape":{},"data_offsets":[0,4800000]}}}})",
                    shape),
        4'800'000));
  }
}

// --- index ---

TEST(IndexBounds, ManyNames) {
  const auto use = [](const std::string& map) {
    const TempDir dir;
    dir.write("m/config.json", kLlama);
    dir.write("m/1.safetensors",
              raw_safetensors("{" + empty_tensor("w") + "}", 0));
    dir.write("m/model.safetensors.index.json", map);
    use_model(dir, dir.path() / "m");
  };
  const auto with = [&](const std::string& entries) {
    use("{\"weight_map\":{" + entries + "}}");
  };
  with(many([](int i) { return fmt::format("\"{}\":\"1.safetensors\"", i); }));
  with(many(
      [](int i) { return fmt::format("\"{0}\":\"{0}.safetensors\"", i); }));
  with("\"w\":\"" + repeated("a/") + "1.safetensors\"");
  with("\"" + repeated("\\u0001") + "\":\"1.safetensors\"");
  with("\"w\":\"" + repeated("\\u0001") + ".safetensors\"");
  use("{\"metadata\":{" +
      many([](int i) { return fmt::format("\"{}\":0", i); }) + "}}");
  use("{\"metadata\":" + nested(kSize / 2 - 100) + "}");
}

// --- config.json ---

void use_config(const std::string& config) {
  ASSERT_LE(config.size(), kSize);
  const TempDir dir;
  support::write_small_model(dir.path() / "m", 1, 32);
  dir.write("m/config.json", config);
  use_model(dir, dir.path() / "m");
  run_bounded({"plan",
               (dir.path() / "m").string(),
               "-c",
               (dir.path() / "m" / "config.json").string()});
}

TEST(ConfigBounds, Shapes) {
  const auto with = [](const std::string& members) {
    use_config("{\"architectures\":[\"LlamaForCausalLM\"]," + members + "}");
  };
  with(many([](int i) { return fmt::format("\"{}\":0", i); }));
  with("\"a\":[" + repeated("0,") + "0]");
  with("\"a\":[" + std::string(1'900'000, '0').replace(0, 0, "1") + "]");
  with("\"a\":\"" + std::string(kSize - 200, 'x') + "\"");
  with("\"a\":\"" + repeated("\\u0001") + "\"");
  with("\"a\":" + nested(kSize / 2 - 100));
  // Each value deep down costs its indentation when it is written.
  with("\"a\":" + std::string(30, '[') + repeated("0,").substr(0, 1'900'000) +
       "0" + std::string(30, ']'));
  with("\"a\":[" + repeated("{},").substr(0, 2'900'000) + "{}]");
  with("\"a\":[" + repeated("{\"a\":0},").substr(0, 2'600'000) + "{}]");
}

TEST(ConfigBounds, ListsOfNames) {
  const std::string names =
      many([](int i) { return fmt::format("\"a{}\"", i); }, ",", 1000);
  const std::string patterns =
      many([](int i) { return fmt::format("\"re:.*a{}.*\"", i); }, ",", 1000);
  use_config("{\"architectures\":[" + names + "]}");
  for (const std::string& list : {names, patterns}) {
    use_config(R"({"architectures":["LlamaForCausalLM"],"quantization_config":)"
               R"({"quant_method":"torchao","modules_to_not_convert":[)" +
               list +
               R"(],"quant_type":{"default":{"_type":"Int8WeightOnlyConfig",)"
               R"("_version":2,"_data":{}}}}})");
    for (const char* where : {"ignore", "targets"}) {
      const std::string ignore =
          std::string_view(where) == "ignore" ? list : "";
      const std::string targets =
          std::string_view(where) == "targets" ? list : "\"Linear\"";
      use_config(
          R"({"quantization_config":{"quant_method":"compressed-tensors",)"
          R"("format":"pack-quantized","config_groups":{"group_0":)"
          R"({"weights":{"num_bits":4,"type":"int","symmetric":true,)"
          R"("strategy":"group","group_size":32},"targets":[)" +
          targets + R"(]}},"ignore":[)" + ignore + "]}}");
    }
  }
}

TEST(ConfigBounds, ManyGroups) {
  use_config(R"({"quantization_config":{"quant_method":"compressed-tensors",)"
             R"("format":"pack-quantized","config_groups":{)" +
             many(
                 [](int i) {
                   return fmt::format(
                       R"("{0}":{{"targets":["re:a{0}"],)"
                       R"("weights":{{"num_bits":4,"type":"int",)"
                       R"("symmetric":true,"strategy":"channel"}}}})",
                       i);
                 },
                 ",",
                 1000) +
             "}}}");
}

// --- rules ---

void use_rules(const std::string& option, const std::string& text) {
  ASSERT_LE(text.size(), kSize);
  const TempDir dir;
  support::write_small_model(dir.path() / "m", 2, 32);
  const std::string file = dir.write("rules.json", text).string();
  run_bounded({"plan", (dir.path() / "m").string(), option, file});
  run_bounded({"plan", (dir.path() / "m").string(), option, file, "--json"});
}

std::string by_name(const std::string& entries) {
  return R"({"_type":"FqnToConfig","_version":1,"_data":{"fqn_to_config":{)" +
         entries + "}}}";
}

TEST(RulesBounds, Names) {
  use_rules(
      "-c",
      by_name(many([](int i) { return fmt::format("\"a{}\":null", i); })));
  use_rules("-c", by_name(many([](int i) {
              return fmt::format(
                  R"("a{}":{{"_type":"Int8WeightOnlyConfig","_version":2,)"
                  R"("_data":{{}}}})",
                  i);
            })));
}

TEST(RulesBounds, Patterns) {
  use_rules("-c", by_name(many([](int i) {
              return fmt::format("\"re:.*a{}.*\":null", i);
            })));
  use_rules("-c", by_name("\"re:" + repeated("a") + "\":null"));
  use_rules("-c", by_name("\"re:" + repeated("(a|b)*") + "\":null"));
  use_rules("-c", by_name("\"re:" + repeated("(") + "\":null"));
  use_rules("-c", by_name(many([](int i) {
              return fmt::format("\"re:(a{{1,100}}){{1,10}}{}\":null", i);
            })));
  use_rules("-c", by_name("\"re:(?i)[" + repeated("a-z") + "]\":null"));
}

TEST(RulesBounds, Lines) {
  use_rules("--tensor-type-file",
            many([](int i) { return fmt::format("a{}=none", i); }, "\n"));
  use_rules("--tensor-type-file",
            many([](int i) { return fmt::format(".*a{}.*b=none", i); }, "\n"));
  use_rules(
      "--tensor-type-file",
      many([](int i) { return fmt::format("a{}=int8_weight_only", i); }, "\n"));
  use_rules("--tensor-type-file", repeated("a") + "=none");
  use_rules("--tensor-type-file", "a=" + repeated("b"));
  use_rules("--tensor-type-file", "a=int8_weight_only:" + repeated("a=1,"));
  use_rules("--tensor-type-file", "a=int8_weight_only:a=" + repeated("["));
}

TEST(RulesBounds, Configs) {
  use_rules("-c", many([](int i) {
                    return fmt::format(
                        R"({}"a{}":0)",
                        i == 0 ? R"({"_type":"Int8)"
                                 R"(WeightOnlyConfig","_version":2,"_data":{)"
                               : "",
                        i);
                  }) + "}}");
  use_rules("-c", nested(kSize / 2 - 100));
}

// --- GGUF ---

void use_gguf(const RawGguf& file, Worst worst = Worst::Reading) {
  const std::string bytes = file.bytes();
  ASSERT_LE(bytes.size(), kSize + 200'000);
  const TempDir dir;
  use_model(dir, dir.write("m.gguf", bytes), worst);
}

std::string array_head(std::uint32_t type, std::uint64_t count) {
  return raw<std::uint32_t>(9) + raw(type) + raw(count);
}

constexpr std::uint32_t kUint8 = 0;
constexpr std::uint32_t kBool = 7;
constexpr std::uint32_t kString = 8;

TEST(GgufBounds, ManyKeysAndTensors) {
  RawGguf keys = RawGguf::tiny_llama();
  for (int i = 0; i < 20'000; ++i) {
    keys.more_keys += raw_string(fmt::format("llama.{}", i)) +
                      raw<std::uint32_t>(kString) +
                      raw_string(std::string(200, 'x'));
  }
  keys.key_count = 15 + 20'000;
  use_gguf(keys);
  RawGguf tensors = RawGguf::tiny_llama();
  for (int i = 0; i < 100'000; ++i) {
    tensors.more_tensors +=
        support::raw_tensor(fmt::format("blk.{}.w", i), {0}, 0);
  }
  tensors.tensor_count = 11 + 100'000;
  use_gguf(tensors, Worst::Tensors);
  RawGguf alone;
  alone.more_tensors = tensors.more_tensors;
  alone.tensor_count = 100'000;
  use_gguf(alone, Worst::Tensors);
}

TEST(GgufBounds, Arrays) {
  const std::size_t count = kSize - 60'000;
  for (const char* key : {"llama.block_count",
                          "tokenizer.ggml.token_type",
                          "tokenizer.ggml.tokens",
                          "tokenizer.ggml.bos_token_id",
                          "general.alignment"}) {
    for (const std::uint32_t type : {kUint8, kBool}) {
      RawGguf file = RawGguf::tiny_llama();
      file.set_raw(key, array_head(type, count) + std::string(count, '\1'));
      use_gguf(file);
    }
    RawGguf file = RawGguf::tiny_llama();
    file.set_raw(
        key, array_head(kString, count / 8) + std::string(count / 8 * 8, '\0'));
    use_gguf(file);
  }
}

// A model with as small an embedding as there can be.
RawGguf with_tokens(const std::vector<std::string>& tokens, char type) {
  const std::uint64_t count = tokens.size();
  RawGguf file = RawGguf::tiny_llama();
  file.set_u32("llama.embedding_length", 2)
      .set_u32("llama.attention.head_count", 1)
      .set_u32("llama.attention.head_count_kv", 1)
      .set_u32("llama.feed_forward_length", 1)
      .set_strings("tokenizer.ggml.tokens", tokens)
      .set_strings("tokenizer.ggml.merges", {})
      .set_raw("tokenizer.ggml.token_type",
               array_head(kUint8, count) +
                   std::string(static_cast<std::size_t>(count), type));
  const auto f16 = [&](const char* name, std::vector<std::uint64_t> ne) {
    const std::uint64_t values = ne[0] * (ne.size() > 1 ? ne[1] : 1);
    file.set_tensor(
        name, 1, ne, std::string(static_cast<std::size_t>(2 * values), '\0'));
  };
  f16("token_embd.weight", {2, count});
  f16("blk.0.attn_norm.weight", {2});
  f16("blk.0.ffn_norm.weight", {2});
  f16("output_norm.weight", {2});
  for (const char* name : {"attn_q.weight",
                           "attn_k.weight",
                           "attn_v.weight",
                           "attn_output.weight"}) {
    f16((std::string("blk.0.") + name).c_str(), {2, 2});
  }
  f16("blk.0.ffn_gate.weight", {2, 1});
  f16("blk.0.ffn_up.weight", {2, 1});
  f16("blk.0.ffn_down.weight", {1, 2});
  return file;
}

std::vector<std::string> short_tokens(std::size_t count) {
  std::vector<std::string> tokens;
  for (std::size_t i = 0; i < count; ++i) {
    std::string token;
    for (std::size_t rest = i + 1; rest != 0; rest /= 60) {
      token += static_cast<char>('A' + rest % 60);
    }
    tokens.push_back(token);
  }
  return tokens;
}

// Returns what `convert` did, so that a case cannot fail too early unseen.
TEST(GgufBounds, ManyTokens) {
  for (const char type : {'\1', '\3'}) {
    const RawGguf file = with_tokens(short_tokens(290'000), type);
    const TempDir dir;
    const std::string path = dir.write("m.gguf", file.bytes()).string();
    EXPECT_EQ(run_tool({"inspect", path}).exit_code, 0);
    use_gguf(file);
  }
}

TEST(GgufBounds, LongTokensAndTemplates) {
  RawGguf file = RawGguf::tiny_llama();
  const std::string controls(kSize - 60'000, '\1');
  const std::string quotes(kSize - 60'000, '"');
  for (const std::string& text : {controls, quotes}) {
    RawGguf token = RawGguf::tiny_llama();
    token.set_strings("tokenizer.ggml.tokens",
                      {"<s>", "</s>", "a", "b", "ab", "c", "abc", text});
    use_gguf(token);
    RawGguf chat = RawGguf::tiny_llama();
    chat.set_string("tokenizer.chat_template", text);
    use_gguf(chat);
  }
  for (int i = 0; i < 60'000; ++i) {
    file.more_keys += raw_string(fmt::format("tokenizer.chat_template.{}", i)) +
                      raw<std::uint32_t>(kString) + raw_string("{{ x }}");
  }
  file.key_count = 15 + 60'000;
  use_gguf(file);
}

// All texts of these letters up to a length: each of their halves is a token.
std::vector<std::string> all_texts(std::string_view letters,
                                   std::size_t longest) {
  std::vector<std::string> out = {"", "<s>", "</s>"};
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i].size() >= longest || out[i].starts_with('<')) continue;
    for (const char letter : letters) out.push_back(out[i] + letter);
  }
  out[0] = "<unk>";
  return out;
}

TEST(GgufBounds, ManyMergesOfScores) {
  // Nearly as many merges as are read, and far more.
  for (const auto& tokens : {all_texts("abc", 10), all_texts("ab", 16)}) {
    RawGguf file = with_tokens(tokens, '\1');
    file.set_string("tokenizer.ggml.model", "llama")
        .set_f32s("tokenizer.ggml.scores",
                  std::vector<float>(tokens.size(), 1));
    use_gguf(file);
  }
}

TEST(GgufBounds, ManyMerges) {
  RawGguf file = RawGguf::tiny_llama();
  file.set_strings("tokenizer.ggml.merges",
                   std::vector<std::string>(440'000, "a b"));
  use_gguf(file);
  const std::string half(kSize / 3, 'x');
  file.set_strings("tokenizer.ggml.tokens",
                   {"<s>", "</s>", "a", "b", "ab", "c", "abc", half})
      .set_strings("tokenizer.ggml.merges", {half + " " + half});
  use_gguf(file);
}

// --- journal ---

class JournalBounds : public testing::Test {
 protected:
  void SetUp() override {
    support::write_small_model(dir_.path() / "m");
    words_ = {"quantize",
              (dir_.path() / "m").string(),
              "-c",
              "int8_weight_only",
              "-j",
              "1",
              "-o",
              (dir_.path() / "out").string()};
    ToolProcess(words_, {"MANTISSA_CRASH_AT=journal.synced:12"}).finish();
    ASSERT_TRUE(fs::exists(journal()));
    text_ = support::directory_contents(
        journal().parent_path())[journal().filename().string()];
    words_.push_back("--resume");
  }

  fs::path journal() const {
    return dir_.path() / "out.partial" / ".journal.jsonl";
  }

  std::string head() const { return text_.substr(0, text_.find('\n') + 1); }
  std::string lines() const { return text_.substr(text_.find('\n') + 1); }

  void resume_with(const std::string& text) const {
    ASSERT_LE(text.size(), kSize);
    fs::remove_all(dir_.path() / "out");
    fs::create_directories(journal().parent_path());
    std::ofstream(journal(), std::ios::binary) << text;
    run_bounded(words_);
  }

  TempDir dir_;
  Words words_;
  std::string text_;
};

TEST_F(JournalBounds, ManyLines) {
  resume_with(head() + repeated(lines(), 5000));
  const std::string line = lines().substr(0, lines().find('\n') + 1);
  resume_with(head() + repeated(line, 5000));
  resume_with(head() + repeated("\n", 5000));
  resume_with(head() + repeated("{}\n", 5000));
}

TEST_F(JournalBounds, LongLines) {
  const std::string keys =
      many([](int i) { return fmt::format("\"{}\":0", i); }, ",", 5000);
  for (const std::string& text : {"{" + keys + "}\n",
                                  "[" + repeated("0,", 5000) + "0]\n",
                                  "[" + repeated("[],", 5000) + "0]\n",
                                  nested(kSize / 2 - 5000) + "\n",
                                  std::string(kSize - 5000, 'x') + "\n"}) {
    resume_with(text);
    resume_with(head() + text);
    resume_with(head() + text.substr(0, 900'000) + "\n");
  }
  const std::string line = lines().substr(0, lines().find('\n'));
  const std::string errors = "\"errors\":[";
  const std::size_t at = line.find(errors) + errors.size();
  for (const char* more : {"[1,1,1,1],", "1,", "[],"}) {
    resume_with(head() + line.substr(0, at) +
                repeated(more, 10'000).substr(0, 900'000 / 10 * 10) +
                "[1,1,1,1" + line.substr(at) + "\n");
  }
}

// --- manifest ---

TEST(ManifestBounds, ManyEntries) {
  const TempDir dir;
  support::write_small_model(dir.path() / "m");
  const auto verify = [&](const std::string& manifest) {
    ASSERT_LE(manifest.size(), kSize);
    dir.write("m/mantissa_manifest.json", manifest);
    run_bounded({"verify", (dir.path() / "m").string()});
    run_bounded({"verify", (dir.path() / "m").string(), "--json"});
  };
  for (const char* section : {"files", "tensors"}) {
    const auto with = [&](const std::string& entries) {
      verify(fmt::format(
          "{{\"schema_version\":1,\"{}\":{{{}}}}}", section, entries));
    };
    const auto entry = [](const std::string& name) {
      return "\"" + name + R"(":{"bytes":1,"xxh3":"0123456789abcdef"})";
    };
    with(many([&](int i) { return entry(std::to_string(i)); }));
    with(many([&](int i) { return entry("../" + std::to_string(i)); }));
    with(entry(std::string(kSize - 200, 'n')));
    with(entry(repeated("a/")));
    with(entry(repeated("\\u0001")));
    with("\"a\":" + nested(kSize / 2 - 100));
  }
}

// --- modules.json ---

TEST(CompanionBounds, OneFolderNamedManyTimes) {
  const TempDir dir;
  support::write_small_model(dir.path() / "m");
  for (int i = 0; i < 100; ++i) {
    dir.write(fmt::format("m/p/{}.json", i), "{}");
  }
  std::string modules = "[";
  while (modules.size() < 990'000) modules += R"({"path":"p"},)";
  dir.write("m/modules.json", modules + "{}]");
  use_model(dir, dir.path() / "m");
}

}  // namespace
}  // namespace mantissa
