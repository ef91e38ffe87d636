#include "checkpoint/gguf_rows.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/hash.h"
#include "core/quoted.h"

namespace mantissa {

void check_gguf_rows(const SourceTensor& tensor,
                     const GgufRows& wanted,
                     std::int64_t row_bytes,
                     std::size_t bytes) {
  const auto [row, rows, total] = wanted;
  if (row >= 0 && rows >= 0 && row <= total && rows <= total - row &&
      static_cast<std::int64_t>(bytes) == rows * row_bytes) {
    return;
  }
  throw Error(ErrorKind::Unexpected,
              fmt::format("tensor {}: {} bytes for rows {} to {} of {}",
                          quoted_name(tensor.name),
                          bytes,
                          row,
                          row + rows,
                          to_string(tensor.shape)));
}

std::string gguf_fingerprint(const GgufFile& file,
                             const std::string& config_json) {
  Hash128 hash;
  std::vector<std::byte> buffer(kGgufChunkBytes);
  for (std::int64_t done = 0; done < file.head_bytes();
       done += kGgufChunkBytes) {
    const auto part = std::span(buffer).first(static_cast<std::size_t>(
        std::min(kGgufChunkBytes, file.head_bytes() - done)));
    file.file().read_at(done, part);
    hash.add(part);
  }
  hash.add(fmt::format("{}", file.file().size())).add(config_json);
  return hash.hex();
}

}  // namespace mantissa
