#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// How a block type of GGUF holds its values: codes in groups that share a
/// scale and, some, a minimum; in two levels a half float for each block and a
/// small integer, the factor, for each group in it.
struct GgufGrid {
  std::string_view type;  ///< "Q4_K"
  int bits;               ///< of a code
  std::int64_t group;     ///< values of K
  std::int64_t block;     ///< values of a half float; group: one level
  bool minima;            ///< and codes from 0; else codes of both signs

  bool levels() const { return block != group; }
};

/// The grid of a block type that has minima or two levels; null for others.
const GgufGrid* find_gguf_grid(std::string_view type);

/// Fields of a GgufTensor: indices in Encoding::fields(), and how many.
struct GgufFields {
  static constexpr std::size_t kQdata = 0;
  static constexpr std::size_t kScale = 1;
  std::size_t minimum = 0;         ///< 0: there is none
  std::size_t factor = 0;          ///< of the scale; 0: one level
  std::size_t minimum_factor = 0;  ///< 0: there is none
  std::size_t count = 2;
};
GgufFields gguf_fields(const GgufGrid& grid);

/// A weight [N, K] of GGUF blocks, its parts apart so that they multiply as
/// they are stored; only in memory, no file of ours holds it. `qdata` int8 [N,
/// K], q = code - 2^(bits-1); `scale` float16 [N, K / block]; with minima
/// `minimum` float16, as the scale, what is added (less the file's dmin); in
/// two levels `factor` and, with minima, `minimum_factor`, int8 [N, K / group].
/// A value is (q, with minima q + 2^(bits-1)) * (scale * factor) + minimum *
/// minimum_factor in float32, where both products in parentheses and that of
/// the code are exact: what ggml decodes. The logical dtype is float32. Throws
/// Error(Usage) unless the shape is [N, K] with K a multiple of the block.
std::shared_ptr<const Encoding> make_gguf_encoding(Shape shape,
                                                   const GgufGrid& grid);

/// The grid of a GgufTensor; null for another format.
const GgufGrid* gguf_grid(const Encoding& encoding);

}  // namespace mantissa
