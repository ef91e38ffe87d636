#include "checkpoint/hf_directory.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/input_file.h"
#include "checkpoint/safetensors_index.h"
#include "checkpoint/safetensors_source.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargestConfig = 16'000'000;
constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", path.string(), what));
}

// Names of the regular files in a directory, symlinks followed, sorted.
std::vector<std::string> file_names(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> with_suffix(const std::vector<std::string>& names,
                                     std::string_view suffix) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (name.ends_with(suffix)) found.push_back(name);
  }
  return found;
}

// What other frameworks call their weights, and what to do about it.
struct ForeignWeights {
  std::string_view suffix;
  std::string_view remedy;
};

constexpr std::array kForeign = {
    ForeignWeights{".bin",
                   "pickle files are never loaded; load the model in "
                   "Transformers and save_pretrained() it, which writes "
                   "safetensors"},
    ForeignWeights{".pt",
                   "pickle files are never loaded; save the state dict with "
                   "safetensors.torch.save_file()"},
    ForeignWeights{".pth",
                   "pickle files are never loaded; save the state dict with "
                   "safetensors.torch.save_file()"},
    ForeignWeights{".h5",
                   "TensorFlow weights are not read; load them in "
                   "Transformers with from_tf and save_pretrained()"},
    ForeignWeights{".msgpack",
                   "Flax weights are not read; load them in Transformers with "
                   "from_flax and save_pretrained()"},
    ForeignWeights{".onnx",
                   "ONNX graphs are not read; start from the model "
                   "they were exported from"},
};

[[noreturn]] void refuse_weightless(const fs::path& path,
                                    const std::vector<std::string>& names) {
  if (std::ranges::find(names, "model_index.json") != names.end()) {
    refuse(path,
           "a diffusers pipeline; name one of its components, such as "
           "transformer/ or unet/");
  }
  const auto index = std::ranges::find_if(names, [](const auto& name) {
    return name.ends_with(".safetensors.index.json");
  });
  if (index != names.end()) {
    refuse(path,
           fmt::format("holds no model.safetensors, but {}: name that file",
                       quoted_name(*index)));
  }
  for (const auto& [suffix, remedy] : kForeign) {
    const auto found = with_suffix(names, suffix);
    if (!found.empty()) {
      refuse(
          path,
          fmt::format("its weights are {}: {}", quoted_name(found[0]), remedy));
    }
  }
  refuse(path,
         fmt::format("holds no weights: expected {}, {} or one .gguf file",
                     kSingle,
                     kIndex));
}

std::unique_ptr<CheckpointSource> open_unnamed(
    const fs::path& path,
    const std::vector<std::string>& found,
    CheckpointSurroundings around) {
  if (found.size() == 1 && found[0] == "adapter_model.safetensors") {
    refuse(path,
           "a LoRA adapter, not a model; merge it into its base model with "
           "PEFT's merge_and_unload() and save_pretrained()");
  }
  if (found.size() == 1) {
    return std::make_unique<SafetensorsSource>(path / found[0],
                                               std::move(around));
  }
  const bool shards = std::ranges::all_of(found, [&](const auto& name) {
    return shard_total(name) == static_cast<int>(found.size());
  });
  if (!shards) {
    refuse(path,
           fmt::format("{} .safetensors files, from {} to {}, and no {}: name "
                       "one of them",
                       found.size(),
                       quoted_name(found.front()),
                       quoted_name(found.back()),
                       kIndex));
  }
  std::vector<fs::path> files;
  for (const std::string& name : found) files.push_back(path / name);
  return SafetensorsSource::from_shards(files, std::move(around));
}

// The snapshot of a cache folder that refs/main names, else the only one.
fs::path cache_snapshot(const fs::path& path) {
  const fs::path snapshots = path / "snapshots";
  const fs::path main = path / "refs" / "main";
  std::error_code ignored;
  if (fs::is_regular_file(main, ignored)) {
    std::string revision = read_text(main, 1000);
    revision.erase(revision.find_last_not_of(" \r\n") + 1);
    if (const auto refusal = refuse_relative_path(revision);
        !refusal.empty() || revision.find('/') != revision.npos) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: expected a revision, got {}",
                              main.string(),
                              quoted_name(revision)));
    }
    if (fs::is_directory(snapshots / revision, ignored)) {
      return snapshots / revision;
    }
  }
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(snapshots)) {
    found.push_back(entry.path().filename().string());
  }
  if (found.size() == 1) return snapshots / found[0];
  std::ranges::sort(found);
  refuse(path,
         fmt::format("a cache folder with {} snapshots and no refs/main that "
                     "names one of them: name one: {}",
                     found.size(),
                     fmt::join(found, ", ")));
}

}  // namespace

std::string read_config_json(const fs::path& directory) {
  const fs::path path = directory / "config.json";
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(path, ignored))) return {};
  std::string text = read_text(path, kLargestConfig);
  parse_config_object(text, path.string());  // refuses once, for all readers
  return text;
}

std::unique_ptr<CheckpointSource> open_directory(const fs::path& path,
                                                 const OpenOptions& options) {
  std::error_code ignored;
  if (path.filename().string().starts_with("models--") &&
      fs::is_directory(path / "snapshots", ignored)) {
    return open_directory(cache_snapshot(path), options);
  }
  const std::vector<std::string> names = file_names(path);
  const auto has = [&](std::string_view name) {
    return std::ranges::binary_search(names, name);
  };
  for (const std::string_view name : {kSingle, kIndex}) {
    if (!has(name) && fs::is_symlink(path / name)) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: a symlink to {}, which is not there; is the "
                              "download complete?",
                              (path / name).string(),
                              fs::read_symlink(path / name).string()));
    }
  }
  CheckpointSurroundings around{
      .kind = "safetensors directory", .root = path, .config_json = {}};
  const auto found = with_suffix(names, ".safetensors");
  if (!found.empty() || has(kIndex)) {
    around.config_json = read_config_json(path);
  }
  if (has(kSingle)) {
    return std::make_unique<SafetensorsSource>(path / kSingle,
                                               std::move(around));
  }
  if (has(kIndex)) {
    return SafetensorsSource::from_index(path / kIndex, std::move(around));
  }
  if (!found.empty()) return open_unnamed(path, found, std::move(around));
  const auto gguf = with_suffix(names, ".gguf");
  if (gguf.size() == 1) return open_checkpoint(path / gguf[0], options);
  if (!gguf.empty()) {
    refuse(path,
           fmt::format("{} .gguf files: name one of them, such as {}",
                       gguf.size(),
                       quoted_name((path / gguf[0]).string())));
  }
  refuse_weightless(path, names);
}

}  // namespace mantissa
