#include <algorithm>
#include <cstdint>
#include <set>

#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "checkpoint/manifest.h"
#include "fuzz/target.h"
#include "support/hostile_files.h"
#include "support/journal_sample.h"
#include "support/raw_gguf.h"
#include "support/raw_safetensors.h"
#include "support/torchao_source.h"

#include "checkpoint/safetensors_header.h"

namespace mantissa::fuzz {
namespace {

using support::HostileFile;
using support::RawGguf;

std::vector<Seed> refused(const std::vector<HostileFile>& files) {
  std::vector<Seed> out;
  for (const HostileFile& file : files) out.push_back({file.name, file.bytes});
  return out;
}

void append(std::vector<Seed>& to, std::vector<Seed> seeds) {
  for (Seed& seed : seeds) to.push_back(std::move(seed));
}

// The header alone and, in two bytes, how many zeros follow it.
std::string header_form(std::string_view file) {
  std::uint64_t length = 0;
  if (file.size() < 8) return std::string(file) + std::string(2, '\0');
  std::memcpy(&length, file.data(), 8);
  length = std::min<std::uint64_t>(length, file.size() - 8);
  const std::size_t zeros = file.size() - 8 - length;
  return std::string(file.substr(8, length)) + static_cast<char>(zeros & 0xff) +
         static_cast<char>(zeros >> 8);
}

// torchao's convention with one weight of each format that has a short name.
std::string torchao_file(const std::string& words) {
  support::TorchaoSource source;
  source.add("m.weight",
             support::encode_as(words, support::smooth_weight({64, 256}, 0)));
  std::vector<HeaderEntry> tensors;
  for (const SourceTensor& tensor : source.source.tensors()) {
    tensors.push_back(
        {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape});
  }
  set_canonical_layout(tensors);
  return write_header(tensors, source.source.metadata()) +
         std::string(static_cast<std::size_t>(tensors.back().end), '\0');
}

std::vector<Seed> header_seeds() {
  std::vector<Seed> out = refused(support::hostile_safetensors());
  // Only their size is wrong, which this form does not have.
  const std::set<std::string> sound = {
      "HeaderAboveCap", "HeaderSizeAllOnes", "HeaderPastEnd"};
  for (const HostileFile& file : support::hostile_safetensors()) {
    if (sound.contains(file.name)) continue;
    out.push_back({file.name + "_header", header_form(file.bytes)});
  }
  const std::string good =
      support::with_entries("\"__metadata__\":{\"format\":\"pt\"}," +
                                support::w_entry("[2,2]", "[0,8]", "\"BF16\""),
                            8);
  out.push_back({"good", good, Outcome::Accepted});
  out.push_back({"good_header", header_form(good), Outcome::Accepted});
  for (const char* words : {"int4_weight_only:group_size=32",
                            "int8_weight_only",
                            "intx_weight_only",
                            "float8_weight_only",
                            "nf4_weight_only"}) {
    const std::string file = torchao_file(words);
    const std::string_view all = words;
    const std::string name(all.substr(0, all.find(':')));
    out.push_back({"torchao_" + name, file, Outcome::Accepted});
    out.push_back(
        {"torchao_" + name + "_header", header_form(file), Outcome::Accepted});
  }
  return out;
}

// What is only wrong beside the shards that it names is sound by itself.
std::vector<Seed> index_seeds() {
  std::vector<Seed> out = refused(support::hostile_indexes());
  for (Seed& seed : out) {
    for (const char* name : {"FileMissing",
                             "NotAFile",
                             "TensorMissing",
                             "TensorUnlisted",
                             "TensorElsewhere"}) {
      if (seed.name == name) seed.outcome = Outcome::Accepted;
    }
  }
  out.push_back(
      {"good",
       support::index_with(R"("w":"model-00001-of-00002.safetensors",)"
                           R"("v":"x/model-00002-of-00002.safetensors")"),
       Outcome::Accepted});
  return out;
}

std::vector<Seed> tokenizer_seeds() {
  const std::string good =
      "tokenizer\npre smollm\nbos 0\neos 1\neot 7\nt3 <s>\nt3 </s>\nt1 a\n"
      "t1 b\nt1 ab\nt1 c\nt1 abc\nt4 d\nmerge a b\nmerge ab c\n";
  const auto with = [&](const char* name, const char* line) {
    return Seed{std::string("tokenizer_") + name, good + line + "\n"};
  };
  return {
      {"tokenizer", good, Outcome::Accepted},
      {"tokenizer_llama",
       "tokenizer\npre llama-bpe\nbos 0\nt1 x\nt1 \xc3\xa9\ntemplate {{ a }}\n"
       "template.tool_use b\n",
       Outcome::Accepted},
      {"tokenizer_scores",
       "tokenizer\nscores\nbos 1\neos 2\nt2 <unk>\nt3 <s>\nt3 </s>\nt6 <0x61>\n"
       "t1 a\nt1 b\nt1 ab\nt4 c d\n",
       Outcome::Accepted},
      {"tokenizer_empty", "tokenizer\n"},
      with("twice", "t1 a"),
      with("not_utf8", "t1 \xff"),
      with("merge_of_three", "merge a b c"),
      with("merge_of_none", "merge d a"),
      with("id_outside", "padding 9"),
      with("special_empty", "t3 "),
      with("template", "template \xc0"),
      {"tokenizer_bos", "tokenizer\npre smollm\nadd_bos\nt1 x\n"},
      {"tokenizer_pre", "tokenizer\npre tekken\nt1 x\n"},
  };
}

std::vector<Seed> gguf_seeds() {
  std::vector<Seed> out = refused(support::hostile_gguf());
  append(out, refused(support::refused_gguf()));
  append(out, tokenizer_seeds());
  out.push_back({"good", RawGguf::tiny_llama().bytes(), Outcome::Accepted});
  out.push_back(
      {"good_experts", RawGguf::tiny_mixtral().bytes(), Outcome::Accepted});
  out.push_back(
      {"good_qwen3moe", RawGguf::tiny_qwen3moe().bytes(), Outcome::Accepted});
  out.push_back({"good_experts_one_by_one",
                 RawGguf::tiny_mixtral().split_experts().bytes(),
                 Outcome::Accepted});
  RawGguf q8 = RawGguf::tiny_llama();
  q8.set_tensor("blk.0.attn_k.weight", 8, {64, 32}, std::string(32 * 68, '\1'))
      .set_f32("llama.rope.freq_base", 500000.0F)
      .set_bool("tokenizer.ggml.add_bos_token", 1)
      .set_string("tokenizer.chat_template", "{{ x }}")
      .set_u32("tokenizer.ggml.eot_token_id", 7);
  out.push_back({"good_q8_0", q8.bytes(), Outcome::Accepted});
  return out;
}

std::vector<Seed> config_seeds() {
  std::vector<Seed> out = refused(support::hostile_model_configs());
  std::vector<Seed> torchao = refused(support::hostile_configs());
  for (Seed& seed : torchao) {
    // As a model's config.json most of them are sound.
    if (seed.bytes.starts_with('{') && seed.bytes.size() > 1) {
      seed.outcome = Outcome::Accepted;
    }
    for (const char* name : {"Deep", "KeyTwice", "ConfigsNested"}) {
      if (seed.name == name) seed.outcome = Outcome::Refused;
    }
    seed.name = "torchao_" + seed.name;
  }
  append(out, std::move(torchao));
  for (const ConfigInfo& info : configs()) {
    const std::string text = info.make()->to_json();
    const std::string name(info.short_name);
    out.push_back({name, text, Outcome::Accepted});
    out.push_back({name + "_model",
                   R"({"architectures":["LlamaForCausalLM"],)"
                   R"("tie_word_embeddings":true,"quantization_config":)"
                   R"({"quant_method":"torchao","modules_to_not_convert":)"
                   R"(["lm_head"],"quant_type":{"default":)" +
                       text + "}}}",
                   Outcome::Accepted});
  }
  out.push_back({"rules",
                 R"({"_type":"FqnToConfig","_version":1,"_data":)"
                 R"({"fqn_to_config":{"lm_head":null,"re:.*layers\\.\\d+.*":)"
                 R"({"_type":"Int8WeightOnlyConfig","_version":2,"_data":{}},)"
                 R"("_default":null}}})",
                 Outcome::Accepted});
  out.push_back({"compressed",
                 R"({"quantization_config":{"quant_method":)"
                 R"("compressed-tensors","format":"pack-quantized",)"
                 R"("config_groups":{"group_0":{"targets":["Linear"],)"
                 R"("weights":{"num_bits":4,"type":"int","symmetric":true,)"
                 R"("strategy":"group","group_size":32}}},)"
                 R"("ignore":["lm_head"]}})",
                 Outcome::Accepted});
  out.push_back({"words", "int4_weight_only:group_size=32", Outcome::Accepted});
  out.push_back({"pattern_glob", "glob:model.*.[a-z]?"});
  out.push_back({"pattern_search", "re-search:(?i)Q_PROJ|mlp"});
  return out;
}

std::vector<Seed> journal_seeds() {
  const support::JournalSample sample;
  std::string all;
  for (const std::string& line : sample.lines()) all += line;
  const std::string line = sample.lines().front();
  const auto with =
      [](std::string text, std::string_view from, std::string_view to) {
        return text.replace(text.find(from), from.size(), to);
      };
  const auto head_with = [&](std::string_view from, std::string_view to) {
    return with(sample.head(), from, to) + all;
  };
  return {
      {"good", all, Outcome::Accepted},
      {"whole", sample.head() + all, Outcome::Accepted},
      {"head", "", Outcome::Accepted},
      {"unit_twice", line + line, Outcome::Accepted},
      {"head_torn", sample.head().substr(0, 40)},
      {"schema", head_with("\"schema_version\":1", "\"schema_version\":2")},
      {"version", head_with(kVersion, "9.9.9")},
      {"input", head_with("\"source_xxh3\":\"", "\"source_xxh3\":\"0")},
      {"config", head_with("Int8WeightOnlyConfig", "Int4WeightOnlyConfig")},
      {"plan", head_with("\"plan_xxh3\":\"", "\"plan_xxh3\":\"0")},
      {"head_no_json", "{\"schema_version\"\n"},
      {"torn", all.substr(0, all.size() - 9)},
      {"null", "null\n"},
      {"array", "[]\n"},
      {"empty_object", "{}\n"},
      {"unknown_tensor", "{\"tensor\":\"x\"}\n"},
      {"no_hash", with(line, "\"0123456789abcdef\"", "")},
      {"key_twice", "{\"tensor\":\"x\"," + line.substr(1)},
      {"number", with(line, "\"scales\":[0", "\"scales\":[1e300")},
      {"bin", with(line, "\"scales\":[0", "\"scales\":[0,[64,1]")},
      {"deep", std::string(1000, '[') + "\n"},
      {"zero_byte", std::string("{\0}\n", 4)},
      {"not_utf8", "{\"tensor\":\"\xff\"}\n"},
  };
}

std::vector<Seed> manifest_seeds() {
  std::vector<Seed> out = refused(support::hostile_manifests());
  Manifest manifest{.tool_version = std::string(kVersion),
                    .files = {{"config.json", {"", 2, 7}}},
                    .tensors = {{"w", {"model.safetensors", 4, 9}}}};
  out.push_back({"good", manifest.to_json(), Outcome::Accepted});
  manifest.add_header("model.safetensors", "header");
  out.push_back({"headers", manifest.to_json(), Outcome::Accepted});
  manifest.add_header("../secret", "");
  manifest.tensors["gone"] = {"model.safetensors", 4, 9};
  for (const char* name : {"../secret", "/etc/passwd", "a/../../secret", ""}) {
    manifest.files[name] = {"", 0, 0x2d06800538d394c2};
  }
  out.push_back({"leaves", manifest.to_json(), Outcome::Accepted});
  return out;
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      {"chat_template", chat_template, chat_template_seeds},
      {"config", config, config_seeds},
      {"gguf", gguf, gguf_seeds},
      {"journal", journal, journal_seeds},
      {"manifest", manifest, manifest_seeds},
      {"packed_weights", packed_weights, packed_weights_seeds},
      {"safetensors_header", safetensors_header, header_seeds},
      {"safetensors_index", safetensors_index, index_seeds},
      {"tokenizer_json", tokenizer_json, tokenizer_json_seeds},
      {"tokenizer_model", tokenizer_model, tokenizer_model_seeds},
  };
  return all;
}

}  // namespace mantissa::fuzz
