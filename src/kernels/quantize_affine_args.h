#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// `groups` runs of `group` contiguous values; any alignment.
struct QuantizeAffineArgs {
  const void* x = nullptr;  ///< [groups, group]
  int64_t groups = 0;
  int64_t group = 0;
  const float* reciprocal = nullptr;    ///< [groups], 1 / scale as rounded
  const int32_t* zero_point = nullptr;  ///< [groups], or null for zeros
  int32_t qmin = 0;
  int32_t qmax = 0;
  uint8_t* q = nullptr;  ///< [groups, group], low byte of each code
};

/// `product` is the dtype to which x * reciprocal is rounded: F32, or x's own.
void run_quantize_affine_ref(Element x,
                             Element product,
                             const QuantizeAffineArgs& args);
void run_quantize_affine_avx2(Element x,
                              Element product,
                              const QuantizeAffineArgs& args);
void run_quantize_affine_avx512(Element x,
                                Element product,
                                const QuantizeAffineArgs& args);

}  // namespace mantissa::kernels
