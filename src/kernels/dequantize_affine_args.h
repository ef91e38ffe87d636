#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// `groups` runs of `group` contiguous codes; any alignment.
struct DequantizeAffineArgs {
  const int8_t* q = nullptr;  ///< [groups, group]
  int64_t groups = 0;
  int64_t group = 0;
  const float* scale = nullptr;       ///< [groups]
  const float* zero_point = nullptr;  ///< [groups], values of the out dtype
  void* out = nullptr;                ///< [groups, group]
};

void run_dequantize_affine_ref(Element out, const DequantizeAffineArgs& args);
void run_dequantize_affine_avx2(Element out, const DequantizeAffineArgs& args);
void run_dequantize_affine_avx512(Element out,
                                  const DequantizeAffineArgs& args);

}  // namespace mantissa::kernels
