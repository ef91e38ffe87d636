#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include <mantissa/core/dtype.h>

namespace mantissa {

/// One scale for the whole tensor.
struct PerTensor {
  bool operator==(const PerTensor&) const = default;
};
/// One scale per index of `axis`, which is kept; negative counts from the end.
struct PerAxis {
  std::int64_t axis = 0;
  bool operator==(const PerAxis&) const = default;
};
/// One scale per row; `dim` is the dimension that is reduced.
struct PerRow {
  std::int64_t dim = -1;
  bool operator==(const PerRow&) const = default;
};
/// One scale per token: all but the last dimension are kept.
struct PerToken {
  bool operator==(const PerToken&) const = default;
};
/// One scale per `group_size` elements of the last dimension.
struct PerGroup {
  std::int64_t group_size = 32;
  bool operator==(const PerGroup&) const = default;
};
/// One scale per block, left-padded with 1s to the rank of the tensor.
struct PerBlock {
  Shape block_size;
  bool operator==(const PerBlock&) const = default;
};

/// How many elements share a scale; names and fields are torchao's.
using Granularity =
    std::variant<PerTensor, PerAxis, PerRow, PerToken, PerGroup, PerBlock>;

/// Extent of one scale block along each dimension (torchao's get_block_size).
/// Throws Error(Usage) when an extent does not divide or an axis is outside.
Shape block_size(const Granularity& granularity, const Shape& shape);

/// "PerGroup(32)".
std::string to_string(const Granularity& granularity);

}  // namespace mantissa
