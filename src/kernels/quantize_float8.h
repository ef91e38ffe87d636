#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/select.h"

namespace mantissa::kernels {

/// Runs of elements, one scale each, become float8 (op "quantize_float8").
struct QuantizeFloat8Problem {
  DType dtype = DType::BFloat16;  ///< of x: float32, bfloat16 or float16
  DType float8_dtype = DType::Float8E4M3FN;  ///< not e8m0
};

/// out = float8 of clamp(x / scale[r], -max, max), in float32 with a true
/// division, for each of `runs` runs of `run` elements.
struct QuantizeFloat8Args {
  const std::byte* x;
  const float* scale;
  std::int64_t run;
  std::int64_t runs;
  std::uint8_t* out;
};

struct QuantizeFloat8Kernel {
  const char* name;
  const char* (*refuses)(const QuantizeFloat8Problem&, const Caps&);
  void (*run)(const QuantizeFloat8Problem&, const QuantizeFloat8Args&);
};

std::span<const QuantizeFloat8Kernel> quantize_float8_kernels();
void list_quantize_float8(const Caps& caps, std::vector<KernelInfo>& out);

void run_quantize_float8_ref(const QuantizeFloat8Problem& problem,
                             const QuantizeFloat8Args& args);

/// Runs the kernel of this machine.
void quantize_float8(const QuantizeFloat8Problem& problem,
                     const QuantizeFloat8Args& args);

}  // namespace mantissa::kernels
