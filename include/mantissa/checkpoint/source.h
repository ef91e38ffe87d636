#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// One tensor of a checkpoint as its reader presents it.
struct SourceTensor {
  std::string name;         ///< stored name
  DType dtype;              ///< dtype of the bytes that read_rows() delivers
  Shape shape;              ///< outermost first
  std::string stored_type;  ///< what the file says: "BF16", "Q4_1"
  std::int64_t stored_bytes = 0;
};

/// A file that travels along unchanged: tokenizer, chat template, licence.
struct Companion {
  std::string name;            ///< path inside the directory, '/' separated
  std::filesystem::path path;  ///< where to copy it from; empty: use `text`
  std::string text;            ///< contents of a file made by the reader
};

/// A file of a checkpoint as it was when it was opened: tells whether a later
/// run reads the same one.
struct SourceFile {
  std::string name;
  std::int64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
};

/// An opened checkpoint: names, dtypes and shapes at once, bytes on request.
/// Everything was validated when it was opened. Safe to use from several
/// threads.
class CheckpointSource {
 public:
  virtual ~CheckpointSource() = default;

  /// "safetensors", "safetensors directory", "GGUF".
  virtual std::string kind() const = 0;
  virtual const std::vector<SourceTensor>& tensors() const = 0;

  /// Rows [row, row + rows) of tensor `index` seen as [numel / last, last] (a
  /// scalar is one row of one), in the tensor's dtype, into `out`, whose size
  /// is exact. Throws Error(Input) when the file is shorter than when opened.
  virtual void read_rows(std::size_t index,
                         std::int64_t row,
                         std::int64_t rows,
                         std::span<std::byte> out) const = 0;

  /// The same rows as stored (GGUF blocks); equals read_rows() for plain types.
  virtual void read_stored_rows(std::size_t index,
                                std::int64_t row,
                                std::int64_t rows,
                                std::span<std::byte> out) const;

  /// `__metadata__` of all files merged (GGUF: none).
  virtual const std::map<std::string, std::string>& metadata() const = 0;
  /// Text of config.json, or "" where there is none.
  virtual const std::string& config_json() const = 0;
  /// Files that belong beside the weights, sorted by name; never weights.
  virtual std::vector<Companion> companions() const = 0;
  /// XXH3 (128 bit, hex) over all headers, file sizes, index and config.json:
  /// tells two inputs apart without a second read of the weights.
  virtual std::string fingerprint() const = 0;
  /// What is odd about the files, though every tensor can be read.
  virtual std::vector<std::string> notes() const { return {}; }
  /// The files that hold the weights; empty for a source in memory.
  virtual std::vector<SourceFile> files() const { return {}; }
};

/// How to open a checkpoint.
struct OpenOptions {
  /// float32, bfloat16 or float16: the dtype in which GGUF weights are
  /// delivered. Empty: bfloat16 when a tensor of the file is quantized, else
  /// the stored dtype. Ignored for safetensors, which are delivered as stored.
  std::optional<DType> dtype = {};
  /// A GGUF file that is well-formed but not of a model that is converted opens
  /// as its tensors under their stored names, in float32 and without a
  /// config.json, instead of being refused; notes() says why.
  bool any_gguf = false;
};

/// Opens a .safetensors file, a .safetensors.index.json, a Hugging Face
/// directory (or cache snapshot) or a .gguf file. Throws Error(Input) for a
/// malformed file, Error(Usage) with the remedy for what is recognized but not
/// read (.pt, .bin, a Hub id) and for a dtype that is not one of the three.
std::unique_ptr<CheckpointSource> open_checkpoint(
    const std::filesystem::path& path, const OpenOptions& options = {});

}  // namespace mantissa
