#include "kernels/linear_lowbit_float.h"

#include <algorithm>

#include "kernels/common/refusals.h"
#include "kernels/cpu/lowbit_workspaces.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "linear_lowbit_float";

template <const char* (*machine)(const LinearLowbitFloatProblem&, const Caps&)>
const char* refuses_vectors(const LinearLowbitFloatProblem& problem,
                            const Caps& caps) {
  const char* refusal = machine(problem, caps);
  if (refusal != nullptr || !problem.levels) return refusal;
  return lowbit_levels_refusal(problem.bits, problem.group < kLowbitChunk);
}

constexpr std::int64_t kFewRows = 4;  // a panel alone, in registers

std::int64_t float_workspace(const LinearLowbitFloatProblem& problem,
                             std::int64_t threads) {
  if (problem.m <= kFewRows) return 0;
  return threads * workspace_size<FloatWorkspace, FloatRow>(
                       std::min(problem.m, kFloatRows));
}

constexpr LinearLowbitFloatKernel kCpu[] = {
    {"linear_f32_ixg_avx512",
     refuses_vectors<needs_avx512<LinearLowbitFloatProblem>>,
     run_linear_lowbit_float_avx512,
     float_workspace},
    {"linear_f32_ixg_avx2",
     refuses_vectors<needs_avx2<LinearLowbitFloatProblem>>,
     run_linear_lowbit_float_avx2,
     float_workspace},
    {"linear_f32_ixg_ref",
     accepts_any<LinearLowbitFloatProblem>,
     run_linear_lowbit_float_ref,
     no_workspace<LinearLowbitFloatProblem>},
};

}  // namespace

std::span<const LinearLowbitFloatKernel> linear_lowbit_float_kernels() {
  return kCpu;
}

const LinearLowbitFloatKernel& select_linear_lowbit_float(
    const LinearLowbitFloatProblem& problem) {
  return select(kOp, linear_lowbit_float_kernels(), problem, host_caps());
}

void list_linear_lowbit_float(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp,
               linear_lowbit_float_kernels(),
               LinearLowbitFloatProblem{},
               caps,
               out);
}

std::int32_t LowbitFloatBuffer::panel_of(std::int64_t m) {
  return m <= kFewRows ? static_cast<std::int32_t>(std::max<std::int64_t>(m, 1))
                       : kFloatPanel;
}

std::int64_t LowbitFloatBuffer::stored_k() const {
  return (k_ + kLowbitChunk - 1) / kLowbitChunk * kLowbitChunk;
}

std::int64_t LowbitFloatBuffer::panels() const {
  return (m_ + panel_ - 1) / panel_;
}

void LowbitFloatBuffer::resize(std::int64_t m, std::int64_t k) {
  m_ = m;
  k_ = k;
  panel_ = panel_of(m);
  values_.reserve(static_cast<std::size_t>(panels() * stored_k() * panel_) *
                  sizeof(float));
}

void LowbitFloatBuffer::fill(const float* x,
                             std::int64_t stride,
                             std::int64_t begin,
                             std::int64_t end) {
  const LowbitFloats all = view();
  auto* values = values_.as<float>();
  for (std::int64_t p = begin; p < end; ++p) {
    const std::int64_t rows = std::min<std::int64_t>(panel_, m_ - p * panel_);
    for (std::int64_t k = 0; k < stored_k(); k += kLowbitChunk) {
      float* chunk = values + float_place(all, p, k);
      const std::int64_t count = std::min(kLowbitChunk, k_ - k);
      if (rows < panel_ || count < kLowbitChunk) {
        std::fill(chunk, chunk + kLowbitChunk * panel_, 0.0f);
      }
      for (std::int64_t r = 0; r < rows; ++r) {
        const float* from = x + (p * panel_ + r) * stride + k;
        for (std::int64_t i = 0; i < count; ++i)
          chunk[i * panel_ + r] = from[i];
      }
    }
  }
}

LowbitFloats LowbitFloatBuffer::view() const {
  return {m_, stored_k(), panel_, values_.as<float>()};
}

}  // namespace mantissa::kernels
