#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/hf_directory.h"
#include "checkpoint/input_file.h"
#include "checkpoint/open_gguf.h"
#include "checkpoint/safetensors_source.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", path.string(), what));
}

// "org/name" as on the Hugging Face Hub.
bool looks_like_hub_id(const std::string& text) {
  if (text.empty() || std::ranges::count(text, '/') != 1) return false;
  if (text.front() == '/' || text.back() == '/' || text.front() == '.') {
    return false;
  }
  return std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
           c == '_' || c == '.' || c == '/';
  });
}

bool looks_like_file(const std::string& text) {
  constexpr std::string_view kSuffixes[] = {
      ".safetensors", ".gguf", ".json", ".bin", ".pt", ".pth"};
  return std::ranges::any_of(kSuffixes, [&](std::string_view suffix) {
    return text.ends_with(suffix);
  });
}

[[noreturn]] void refuse_missing(const fs::path& path) {
  const std::string text = path.string();
  std::error_code ignored;
  if (looks_like_hub_id(text) && !looks_like_file(text)) {
    refuse(path,
           fmt::format("no such file or directory. If this is a Hugging Face "
                       "Hub id: nothing is downloaded here; run `hf download "
                       "{}` and pass the directory it prints",
                       text));
  }
  if (fs::is_symlink(fs::symlink_status(path, ignored))) {
    refuse(path,
           fmt::format("a symlink to {}, which is not there",
                       fs::read_symlink(path, ignored).string()));
  }
  refuse(path, "no such file or directory");
}

std::string first_bytes(const fs::path& path) {
  const InputFile file(path);
  std::string bytes(
      static_cast<std::size_t>(std::min<std::int64_t>(64, file.size())), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

// A plausible header size, then '{'. Asked first: the size may begin with the
// bytes of a pickle.
bool looks_like_safetensors(std::string_view bytes) {
  if (bytes.size() <= 8 || bytes[8] != '{') return false;
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  return size <= static_cast<std::uint64_t>(HeaderLimits{}.header_bytes);
}

// What is recognized by its first bytes but not read.
void refuse_recognized(const fs::path& path, std::string_view bytes) {
  if (bytes.starts_with("PK\x03\x04")) {
    refuse(path,
           "a zip archive, as torch.save() writes: pickle files are never "
           "loaded. Load it in Python (torch.load(..., weights_only=True)) and "
           "write it with safetensors.torch.save_file()");
  }
  const bool pickle =
      bytes.size() >= 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
  if (pickle) {
    refuse(path,
           "a pickle file: pickle files are never loaded. Load it in Python "
           "(torch.load(..., weights_only=True)) and write it with "
           "safetensors.torch.save_file()");
  }
  if (bytes.starts_with("version https://git-lfs")) {
    refuse(path,
           "a Git LFS pointer, not the file itself; run `git lfs pull` in its "
           "repository");
  }
  if (bytes.starts_with("\x89HDF\r\n")) {
    refuse(path, "an HDF5 file; expected safetensors or GGUF");
  }
}

// A file inside a directory has the directory's config.json and companions.
CheckpointSurroundings surroundings(const fs::path& path) {
  fs::path root = path.parent_path();
  if (root.empty()) root = ".";
  std::string config = read_config_json(root);
  return {.kind = "safetensors",
          .root = std::move(root),
          .config_json = std::move(config)};
}

std::unique_ptr<CheckpointSource> open_file(const fs::path& path,
                                            const OpenOptions& options) {
  const std::string name = path.filename().string();
  const std::string bytes = first_bytes(path);
  if (bytes.starts_with("GGUF")) return open_gguf_model(path, options);
  const bool safetensors = looks_like_safetensors(bytes);
  if (!safetensors) refuse_recognized(path, bytes);
  if (name.ends_with(".safetensors.index.json")) {
    return SafetensorsSource::from_index(path, surroundings(path));
  }
  if (name.ends_with(".gguf")) return open_gguf_model(path, options);
  if (safetensors || name.ends_with(".safetensors")) {
    return std::make_unique<SafetensorsSource>(path, surroundings(path));
  }
  if (name.ends_with(".json")) {
    refuse(path, "a JSON file; name the directory that holds the weights");
  }
  refuse(path,
         "not a checkpoint: expected a .safetensors or .gguf file, a "
         ".safetensors.index.json or a directory with one of them");
}

void check_dtype(const OpenOptions& options) {
  if (!options.dtype) return;
  const DType dtype = *options.dtype;
  if (dtype == DType::Float32 || dtype == DType::BFloat16 ||
      dtype == DType::Float16) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("dtype: expected float32, bfloat16 or float16, got "
                          "{}",
                          mantissa::name(dtype)));
}

}  // namespace

std::unique_ptr<CheckpointSource> open_checkpoint(const fs::path& path,
                                                  const OpenOptions& options) {
  check_dtype(options);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) refuse_missing(path);
  if (fs::is_directory(status)) return open_directory(path, options);
  if (!fs::is_regular_file(status)) {
    refuse(path,
           error ? fmt::format("cannot be opened: {}", error.message())
                 : "neither a file nor a directory");
  }
  return open_file(path, options);
}

}  // namespace mantissa
