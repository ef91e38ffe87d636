#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/config.h>
#include <mantissa/core/api.h>

namespace mantissa {

/// Name in the files of a parameter or buffer of the module.
using NameMapping = std::function<std::string(const std::string& name)>;

/// How a module is saved.
struct SaveOptions {
  /// How quantized weights stand in the files: "torchao" (the convention of its
  /// safetensors support) or "compressed-tensors"; codes of the other one are
  /// carried over where both have the same grid.
  std::string format = "torchao";
  /// A file holds no more than this, unless a single tensor does.
  std::int64_t max_shard_bytes = 5'000'000'000;
  /// A checkpoint that stands at the directory is exchanged in one step: all
  /// that was there goes, other files and folders too, so `like` must not lie
  /// inside.
  bool overwrite = false;
  NameMapping rename = {};  ///< empty: the module's own names
  /// What quantize_() got: recorded in config.json, where Transformers looks.
  /// compressed-tensors records what the tensors say.
  ConfigPtr config = {};
  /// A checkpoint whose config.json, tokenizer and other small files travel
  /// along; empty: none.
  std::filesystem::path like = {};
};

/// What save_checkpoint() wrote.
struct SaveReport {
  std::vector<std::string> files;     ///< the shards, in order
  std::int64_t bytes = 0;             ///< of the shards
  std::vector<std::string> warnings;  ///< a sentence each, naming the tensor
};

/// Writes every parameter and buffer of a module as safetensors files:
/// quantized weights as their fields (a weight quantized on the CPU has the
/// bytes that the tool writes), training weights as their high-precision
/// values and blocks of GGUF with minima or sub-scales as theirs, a tied
/// parameter once, under the first of its names. Written beside `directory`,
/// read back, then renamed: the directory is whole or not there. Throws
/// c10::ValueError naming the tensor that the format cannot hold, and where the
/// directory exists and is not to be overwritten.
MANTISSA_API SaveReport save_checkpoint(torch::nn::Module& module,
                                        const std::filesystem::path& directory,
                                        const SaveOptions& options = {});

/// What happens where the files hold another dtype than the module.
enum class OtherDType {
  Refuse,   ///< an error that names the tensor
  Convert,  ///< values are cast to the module's dtype
};

/// How a module takes a checkpoint.
struct LoadOptions {
  /// Throw for parameters and buffers that the files lack, tensors that the
  /// module lacks, and quantized weights that would reach the registry only.
  bool strict = true;
  OtherDType other_dtype = OtherDType::Refuse;
  NameMapping rename = {};  ///< empty: the module's own names
  /// Where parameters go that stand on the meta device; empty: the CPU.
  std::optional<c10::Device> device = {};
  OpenOptions open = {};  ///< of a GGUF file: its dtype
};

/// What load_checkpoint() did. Names are the module's, `unexpected` the files'.
struct LoadReport {
  std::vector<std::string> quantized;  ///< now quantized weights
  std::vector<std::string> plain;      ///< plain values
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  /// Quantized weights that somebody beside the registry holds as plain
  /// tensors: a member of the user's class.
  std::vector<std::string> registry_only;
};

/// Loads a checkpoint (what save_checkpoint(), the tool, torchao or Hugging
/// Face wrote, or a GGUF file) into a module. Plain tensors are copied into the
/// module's; encoded fields become quantized weights as they are, and replace a
/// plain parameter or are copied into a quantized one of the same format. All
/// or nothing: when it throws, nothing has changed. Throws c10::ValueError
/// naming tensor, field, expected and found.
MANTISSA_API LoadReport load_checkpoint(torch::nn::Module& module,
                                        const std::filesystem::path& path,
                                        const LoadOptions& options = {});

}  // namespace mantissa
