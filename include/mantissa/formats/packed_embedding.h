#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Codes of an embedding as torchao's CPU kernels read them (type 2): every row
/// is blocks of 128 codes, then one of 64 and one of 32 as needed. Scales and
/// zero points stand elsewhere. The header holds the width only.
struct PackedEmbedding {
  std::int64_t rows = 0;     ///< entries of the table, at least 1
  std::int64_t columns = 0;  ///< embedding dimension, a multiple of 32
  int bits = 4;              ///< 1 to 8
};

/// Bytes of the packed object, header included. Throws Error(Usage) when the
/// sizes do not fit the layout or do not fit in 64 bits.
std::int64_t packed_bytes(const PackedEmbedding& embedding);

/// Packs int8 codes [rows, columns], -2^(bits-1) .. 2^(bits-1)-1, into
/// `packed`, packed_bytes() long, byte for byte as torchao's
/// `_pack_embedding_{b}bit`. Throws Error(Usage) when a shape or dtype is not
/// what `embedding` says, and Error(Input) that names the first code out of
/// range.
void pack_embedding(const PackedEmbedding& embedding,
                    ConstTensorView codes,
                    std::span<std::byte> packed,
                    int workers = 1);

/// What the header says about a packed table [rows, columns]. Throws
/// Error(Usage) when the sizes do not fit the layout, and Error(Input) that
/// names the rule when the header is not that of type 2 or the object has
/// another length.
PackedEmbedding read_packed_embedding(std::span<const std::byte> packed,
                                      std::int64_t rows,
                                      std::int64_t columns);

/// The inverse of pack_embedding(): int8 codes [rows, columns]. Throws
/// Error(Usage) when `codes` is not that, Error(Input) when `packed` is not
/// what read_packed_embedding() accepts.
void unpack_embedding(const PackedEmbedding& embedding,
                      std::span<const std::byte> packed,
                      TensorView codes,
                      int workers = 1);

/// What stands beside a packed table. Groups are runs of columns / groups
/// columns, a multiple of 32.
struct PackedEmbeddingGrid {
  ConstTensorView scale;       ///< float32 [rows, groups]
  ConstTensorView zero_point;  ///< int8 [rows, groups]
};

/// Rows of a packed table: values[i] = (code - zero point) * scale of row
/// indices[i] in float32, as torchao's `_embedding_{b}bit`. Only these rows are
/// unpacked. `indices` is int32 or int64 [M], `values` float32 [M, columns].
/// Throws Error(Usage) when a shape or dtype is not that, Error(Input) when
/// `packed` is not what read_packed_embedding() accepts, and Error(Usage) that
/// names the first index outside [0, rows).
void look_up_packed_embedding(const PackedEmbedding& embedding,
                              std::span<const std::byte> packed,
                              const PackedEmbeddingGrid& grid,
                              ConstTensorView indices,
                              TensorView values);

}  // namespace mantissa
