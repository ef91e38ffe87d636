#include "torch/models/row_ops.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/GradMode.h>

#include "kernels/decode_ops.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

constexpr std::int64_t kGrainOfRows = 1 << 14;

const kernels::DecodeOpsKernel& ops() { return kernels::select_decode_ops({}); }

}  // namespace

bool takes_row_ops(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         x.layout() == at::kStrided && quantized_impl(x) == nullptr &&
         !(c10::GradMode::is_enabled() && x.requires_grad());
}

at::Tensor rms_norm_rows(const at::Tensor& x,
                         const at::Tensor& weight,
                         double eps,
                         bool one_plus) {
  at::Tensor y = at::empty_like(x);
  const std::int64_t size = weight.numel();
  const float* from = x.const_data_ptr<float>();
  float* to = y.mutable_data_ptr<float>();
  const kernels::DecodeOpsKernel& kernel = ops();
  at::parallel_for(
      0,
      x.numel() / std::max<std::int64_t>(1, size),
      std::max<std::int64_t>(1, kGrainOfRows / std::max<std::int64_t>(1, size)),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          kernel.rms_norm({from + row * size,
                           weight.const_data_ptr<float>(),
                           to + row * size,
                           size,
                           static_cast<float>(eps),
                           one_plus});
        }
      });
  return y;
}

void rotate_rows(const at::Tensor& x,
                 const at::Tensor& cos,
                 const at::Tensor& sin) {
  const std::int64_t tokens = x.size(1);
  const std::int64_t heads = x.size(2);
  const std::int64_t size = x.size(3);
  float* rows = x.mutable_data_ptr<float>();
  const float* of_cos = cos.const_data_ptr<float>();
  const float* of_sin = sin.const_data_ptr<float>();
  const kernels::DecodeOpsKernel& kernel = ops();
  at::parallel_for(
      0,
      x.size(0) * tokens,
      std::max<std::int64_t>(
          1, kGrainOfRows / std::max<std::int64_t>(1, heads * size)),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t angle = i % tokens * size;
          for (std::int64_t h = 0; h < heads; ++h) {
            kernel.rotate({rows + (i * heads + h) * size,
                           of_cos + angle,
                           of_sin + angle,
                           size});
          }
        }
      });
}

void silu_rows(const at::Tensor& gate, const at::Tensor& up) {
  float* to = gate.mutable_data_ptr<float>();
  const float* from = up.const_data_ptr<float>();
  const kernels::DecodeOpsKernel& kernel = ops();
  at::parallel_for(
      0, gate.numel(), kGrainOfRows, [&](std::int64_t begin, std::int64_t end) {
        kernel.gate({to + begin,
                     from + begin,
                     end - begin,
                     kernels::GateActivation::Silu});
      });
}

}  // namespace mantissa
