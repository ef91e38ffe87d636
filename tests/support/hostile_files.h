#pragma once

#include <ostream>
#include <string>
#include <vector>

#include <mantissa/core/error.h>

namespace mantissa::support {

// Every class of input that a reader refuses, one file each: tests ask for its
// message, fuzz targets begin with it.

/// One class, and words that its error must say.
struct HostileFile {
  std::string name;
  std::string bytes;
  std::string says;
  std::string says_too = "";
  ErrorKind kind = ErrorKind::Input;
};

inline void PrintTo(const HostileFile& file, std::ostream* out) {
  *out << file.name;
}

/// All of them, in order.
inline std::vector<HostileFile> joined(
    const std::vector<std::vector<HostileFile>>& parts) {
  std::vector<HostileFile> out;
  for (const auto& part : parts)
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

/// Files that break a rule of the safetensors format.
std::vector<HostileFile> hostile_safetensors();
/// model.safetensors.index.json; some are well-formed and disagree with
/// a.safetensors (which holds "w") and c.safetensors (which holds "u").
std::vector<HostileFile> hostile_indexes();
/// GGUF files that break a rule of the format.
std::vector<HostileFile> hostile_gguf();
/// Sound GGUF files whose model or tokenizer is not read.
std::vector<HostileFile> refused_gguf();
/// A model's config.json.
std::vector<HostileFile> hostile_model_configs();
/// torchao's JSON, command-line words of configs and rules.
std::vector<HostileFile> hostile_configs();
/// mantissa_manifest.json.
std::vector<HostileFile> hostile_manifests();
/// tokenizer.json.
std::vector<HostileFile> hostile_tokenizers();
/// SentencePiece's tokenizer.model.
std::vector<HostileFile> hostile_sentencepiece();
/// Chat templates that are malformed or not supported.
std::vector<HostileFile> hostile_chat_templates();
/// Chat templates that would run too long, nest too deeply or take too much.
std::vector<HostileFile> endless_chat_templates();

}  // namespace mantissa::support
