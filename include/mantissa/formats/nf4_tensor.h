#pragma once

#include <cstdint>
#include <memory>

#include <mantissa/core/dtype.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// An NF4Tensor: the arguments of torchao's to_nf4.
struct NF4Spec {
  std::int64_t block_size = 64;          ///< elements that share a scaler
  std::int64_t scaler_block_size = 256;  ///< scalers that share a factor
};

/// NF4Tensor (QLoRA) for a weight of at most 2 dimensions, of float32, bfloat16
/// or float16. With B = numel / block_size: fields `quantized_data` uint8
/// [numel / 2], `quantized_scalers` int8 [B], `quantization_factor` dtype
/// [B / scaler_block_size], `scaler_mean` dtype [], `nf4` dtype [16]. The
/// encoder throws Error(Input), naming the element, for NaN or infinity. Throws
/// Error(Usage) when the block sizes do not divide or the dtype is not allowed.
std::shared_ptr<const Encoding> make_nf4_encoding(Shape shape,
                                                  DType dtype,
                                                  const NF4Spec& spec);

}  // namespace mantissa
