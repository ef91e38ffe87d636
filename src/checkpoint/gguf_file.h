#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <mantissa/core/dtype.h>

#include "checkpoint/ggml_blocks.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/input_file.h"

namespace mantissa {

/// Upper bounds of what a GGUF file may claim, beside the bytes it has.
struct GgufLimits {
  std::int64_t tensors = 1 << 20;
  std::int64_t keys = 1 << 16;
  std::int64_t array = 1 << 24;         ///< elements of an array
  std::int64_t key_bytes = 65535;       ///< the format's own bound
  std::int64_t string_bytes = 1 << 26;  ///< a value
  std::int64_t alignment = 1 << 20;
};

/// One tensor of a GGUF file under its own name.
struct GgufTensor {
  std::string name;
  const GgmlTypeInfo* type;  ///< a row of ggml_types()
  Shape shape;               ///< outermost first; the file has it reversed
  std::int64_t row_bytes;    ///< of the last dimension
  std::int64_t bytes;        ///< without padding
  std::int64_t offset;       ///< from the start of the file
};

/// A GGUF version 3 file whose head was read and checked whole. Every count is
/// bounded by the bytes of the file before anything is allocated for it.
/// Reading is safe from several threads.
class GgufFile {
 public:
  /// Throws Error(Input) naming the class of defect and the tensor or key;
  /// Error(Usage) for a tensor type that ggml defines and this version does not
  /// read.
  explicit GgufFile(const std::filesystem::path& path,
                    const GgufLimits& limits = {});

  const InputFile& file() const { return file_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// Bytes before the padding in front of the first tensor.
  std::int64_t head_bytes() const { return head_bytes_; }

  /// Bytes [begin, begin + out.size()) of a tensor. Throws Error(Input) when
  /// the file has become shorter.
  void read(const GgufTensor& tensor,
            std::int64_t begin,
            std::span<std::byte> out) const;

 private:
  InputFile file_;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::int64_t head_bytes_ = 0;
};

/// True when the file begins with "GGUF".
bool is_gguf(const InputFile& file);

}  // namespace mantissa
