#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/gguf_file.h"

namespace mantissa {

/// Bytes of a GGUF file that are read at a time.
constexpr std::int64_t kGgufChunkBytes = 256 << 10;

/// Calls visit(bytes) with bytes [begin, begin + bytes) of a tensor in file
/// order, in pieces of whole blocks. Both are multiples of the block's bytes.
template <class Visit>
void visit_gguf_bytes(const GgufFile& file,
                      const GgufTensor& tensor,
                      std::int64_t begin,
                      std::int64_t bytes,
                      Visit&& visit) {
  const std::int64_t block = tensor.type->block_bytes;
  const std::int64_t step = kGgufChunkBytes / block * block;
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min(step, bytes)));
  for (std::int64_t done = 0; done < bytes; done += step) {
    const auto part = std::span(buffer).first(
        static_cast<std::size_t>(std::min(step, bytes - done)));
    file.read(tensor, begin + done, part);
    visit(std::span<const std::byte>(part));
  }
}

/// A visitor that decodes the blocks one after another into `out`.
class GgufDecoder {
 public:
  GgufDecoder(const GgmlTypeInfo& type, DType dtype, std::span<std::byte> out)
      : type_(type), dtype_(dtype), to_(out.data()) {}

  void operator()(std::span<const std::byte> bytes) {
    const auto blocks =
        static_cast<std::int64_t>(bytes.size()) / type_.block_bytes;
    convert_blocks(type_, bytes.data(), blocks, dtype_, to_);
    to_ += blocks * type_.block_size * bit_width(dtype_) / 8;
  }

 private:
  const GgmlTypeInfo& type_;
  DType dtype_;
  std::byte* to_;
};

/// A visitor that copies the bytes one after another to `out`.
class GgufCopier {
 public:
  explicit GgufCopier(std::span<std::byte> out) : to_(out.data()) {}

  void operator()(std::span<const std::byte> bytes) {
    to_ = std::ranges::copy(bytes, to_).out;
  }

 private:
  std::byte* to_;
};

/// Rows [row, row + rows) of a tensor that has `total`.
struct GgufRows {
  std::int64_t row;
  std::int64_t rows;
  std::int64_t total;
};

/// Throws Error(Unexpected) unless the rows are there and `bytes` is exactly
/// their size.
void check_gguf_rows(const SourceTensor& tensor,
                     const GgufRows& wanted,
                     std::int64_t row_bytes,
                     std::size_t bytes);

/// XXH3 (128 bit, hex) over the head of the file, its size and `config_json`.
std::string gguf_fingerprint(const GgufFile& file,
                             const std::string& config_json);

}  // namespace mantissa
