#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mantissa {

/// A ggml block with minima or two levels of scales, its parts apart, as the
/// fields of a GgufTensor hold them (formats/gguf_tensor.h).
struct GgmlParts {
  std::uint16_t scale = 0;    ///< half floats
  std::uint16_t minimum = 0;  ///< what is added
  std::int8_t factors[16] = {};
  std::int8_t minimum_factors[16] = {};
  std::int8_t codes[256] = {};  ///< less 2^(bits-1)
};

struct GgmlSplit {
  std::string_view type;  ///< "Q4_K"
  std::int64_t bytes;     ///< of a block
  void (*split)(const std::byte* in, GgmlParts& out);
};

/// How a block type of find_gguf_grid() comes apart; null for others.
const GgmlSplit* find_ggml_split(std::string_view type);

}  // namespace mantissa
