#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/int8_compute.h>

#include "kernels/lowbit_activations.h"

namespace mantissa {

/// Panels of rows that one thread copies.
constexpr std::int64_t kGrainPanels = 16;

/// Whether products take int8 codes of activations: per token or in groups.
bool takes_int8(Int8Compute compute);

/// Rows x [M, K] (float32, bfloat16 or float16, contiguous, on the CPU) as the
/// int8 codes that `compute`, which takes_int8(), asks for: per token as
/// torchao's int8_asym_per_token in x's dtype, in groups as quantize_panels. A
/// row with NaN or infinity gets scales NaN. Runs on the threads of ATen's
/// pool.
void quantize_lowbit_rows(const at::Tensor& x,
                          Int8Compute compute,
                          kernels::LowbitActivationBuffer& out);

/// The same for one float32 row [K], by the calling thread.
void quantize_lowbit_row(const float* x,
                         std::int64_t k,
                         Int8Compute compute,
                         kernels::LowbitActivationBuffer& out);

}  // namespace mantissa
