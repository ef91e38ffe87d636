#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <mantissa/core/dtype.h>

#include "kernels/select.h"

namespace mantissa::kernels {

/// How the parameters of a group follow from its minimum and maximum.
enum class Int4Rule {
  Asymmetric,  ///< Int4Tensor, bfloat16 activations: float32 arithmetic
  Symmetric,   ///< Int4Tensor, float8 activations: float32 arithmetic
  Tinygemm,    ///< tile-packed int4: every step rounded to the weight dtype
};

struct QuantizeInt4Problem {
  DType dtype = DType::BFloat16;  ///< of x: bfloat16, float16 or float32
  std::int64_t group_size = 128;
  Int4Rule rule = Int4Rule::Asymmetric;
};

/// Consecutive groups; x is finite.
struct QuantizeInt4Args {
  const void* x;  ///< [groups, group_size]
  std::int64_t groups;
  std::uint8_t*
      codes;     ///< [groups, group_size], 0..15, w = (code-8)*scale+zero
  float* scale;  ///< [groups]
  float* zero;   ///< [groups]
};

struct QuantizeInt4Kernel {
  const char* name;
  const char* (*refuses)(const QuantizeInt4Problem&, const Caps&);
  void (*run)(const QuantizeInt4Problem&, const QuantizeInt4Args&);
};

/// In order of preference; the reference is last. All give the same bits.
std::span<const QuantizeInt4Kernel> quantize_int4_kernels();

/// The kernel for this problem on this machine.
const QuantizeInt4Kernel& select_quantize_int4(
    const QuantizeInt4Problem& problem);

void list_quantize_int4(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
