#pragma once

#include <cstdint>
#include <memory>

#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// An Int4Tensor: the arguments of torchao's Int4Tensor.from_hp.
struct Int4Spec {
  /// Columns that share a scale; divides K.
  std::int64_t group_size = 128;
  /// What the activations will be. BFloat16: asymmetric codes with a float zero
  /// point. Float8E4M3FN: symmetric codes, the zero point is stored as zeros.
  DType activation_dtype = DType::BFloat16;
};

/// Int4Tensor (plain packing) for a weight [N, K] or [E, N, K] of bfloat16,
/// float16 or float32: fields `qdata` (int8, [.., N, K/2], the even column in
/// the low nibble, two's complement), `scale` and `zero_point` (the weight's
/// dtype, [.., K/group_size, N]). Codes are found in float32 with the unrounded
/// scale, as MSLK does. decode() gives code * scale + zero_point rounded once
/// to the weight's dtype; an `act_pre_scale` read from a file multiplies
/// activations and is not folded in. Throws Error(Usage) when the shape, a
/// dtype or the group size is not allowed; encoding throws Error(Input) for NaN
/// and infinity.
std::shared_ptr<const Encoding> make_int4_encoding(const Shape& shape,
                                                   DType dtype,
                                                   const Int4Spec& spec);

}  // namespace mantissa
