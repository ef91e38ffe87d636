#include "checkpoint/companions.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <nlohmann/json.hpp>

#include "checkpoint/bounded_json.h"
#include "checkpoint/input_file.h"
#include "checkpoint/safetensors_index.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestModules = 1'000'000;

// Exact names of files that mean the same in every directory.
constexpr std::array<std::string_view, 29> kNames = {
    "added_tokens.json",
    "audio_tokenizer_config.json",
    "chat_template.json",
    "chat_template.jsonl",
    "config_sentence_transformers.json",
    "feature_extractor.json",
    "feature_extraction_config.json",
    "generation_config.json",
    "image_processor_config.json",
    "merges.txt",
    "modules.json",
    "normalizer.json",
    "preprocessor_config.json",
    "processor_config.json",
    "qwen.tiktoken",
    "sentence_bert_config.json",
    "sentence_distilbert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "source.spm",
    "target.spm",
    "tokenizer.model",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
};

bool is_companion(std::string_view name) {
  if (std::ranges::find(kNames, name) != kNames.end()) return true;
  if (name.ends_with(".jinja") || name.ends_with(".tiktoken")) return true;
  if (name.starts_with("tokenizer") && name.ends_with(".json")) return true;
  if (name.starts_with("tokenizer.model.")) return true;
  const bool words = name.starts_with("LICENSE") ||
                     name.starts_with("LICENCE") ||
                     name.starts_with("NOTICE") || name.starts_with("README");
  return words && !name.ends_with(".py");
}

// A module folder of sentence-transformers is copied whole, its own small
// weights included, except what holds code or pickles.
bool is_module_file(std::string_view name) {
  return name.ends_with(".json") || name.ends_with(".txt") ||
         name.ends_with(".safetensors") || is_companion(name);
}

bool is_regular(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_regular_file(ignored);  // follows symlinks
}

template <class Wanted>
void add_files(const fs::path& root,
               const std::string& prefix,
               const Wanted& wanted,
               std::vector<Companion>& companions) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root / prefix, ignored)) {
    const std::string name = entry.path().filename().string();
    if (wanted(name) && is_regular(entry)) {
      companions.push_back({prefix + name, entry.path(), {}});
    }
  }
}

// Folders that modules.json names, each with a '/' at its end. A modules.json
// that is not what it should be names none: it is copied as it is.
std::set<std::string> module_folders(const fs::path& root) {
  const fs::path path = root / "modules.json";
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  const auto modules = parse_bounded_json(read_text(path, kLargestModules));
  std::set<std::string> folders;
  if (!modules || !modules->is_array()) return folders;
  for (const auto& module : *modules) {
    if (!module.is_object() || !module.contains("path")) continue;
    const auto& folder = module["path"];
    if (!folder.is_string()) continue;
    const auto text = folder.get<std::string>();
    if (refuse_relative_path(text).empty()) folders.insert(text + '/');
  }
  return folders;
}

}  // namespace

std::vector<Companion> find_companions(const fs::path& root) {
  std::vector<Companion> companions;
  add_files(root, "", is_companion, companions);
  add_files(
      root,
      "additional_chat_templates/",
      [](std::string_view name) { return name.ends_with(".jinja"); },
      companions);
  for (const std::string& folder : module_folders(root)) {
    add_files(root, folder, is_module_file, companions);
  }
  std::ranges::sort(companions, {}, &Companion::name);
  const auto [begin, end] =
      std::ranges::unique(companions, {}, &Companion::name);
  companions.erase(begin, end);
  return companions;
}

}  // namespace mantissa
