#pragma once

#include <cstdint>
#include <memory>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// An Int4TilePackedTo4dTensor: the arguments of torchao's from_hp.
struct Int4TilePackedSpec {
  /// Columns that share a scale: 32, 64, 128 or 256, what the kernels take.
  std::int64_t group_size = 128;
  Int4ChooseQParamsAlgorithm algorithm = Int4ChooseQParamsAlgorithm::Tinygemm;
  /// N is padded to a multiple of this: 8, or 16.
  std::int64_t ntile = 8;
};

/// Int4TilePackedTo4dTensor for a bfloat16 weight [N, K] or [E, N, K]. With K
/// padded by zeros to K' (a multiple of 1024) and N to N' (of ntile): fields
/// `qdata` (int32, [.., N'/8, K'/128, 32, 4], tiles of the CUDA kernels) and
/// `scale_and_zero` (bfloat16, [.., K'/group_size, N', 2]). decode() gives
/// (code - 8) * scale + zero rounded once to bfloat16, as the kernels do. The
/// HQQ solver runs in float32 and stops by the mean error over the whole
/// tensor. Throws Error(Usage) when the shape, the dtype or a parameter is not
/// allowed; encoding throws Error(Input) for NaN and infinity.
std::shared_ptr<const Encoding> make_int4_tile_packed_encoding(
    const Shape& shape, DType dtype, const Int4TilePackedSpec& spec);

}  // namespace mantissa
