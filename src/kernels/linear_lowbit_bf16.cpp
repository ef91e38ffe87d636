#include "kernels/linear_lowbit_bf16.h"

#include <algorithm>
#include <cstring>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/refusals.h"
#include "kernels/cpu/lowbit_workspaces.h"
#include "kernels/lowbit_activations.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "linear_lowbit_bf16";

const char* wide_groups(const LinearLowbitBf16Problem& problem) {
  return problem.group >= kLowbitChunk ? nullptr
                                       : "needs groups of 32 values or more";
}

const char* refuses_amx(const LinearLowbitBf16Problem& problem,
                        const Caps& caps) {
  const char* refusal = needs_amx_bf16(problem, caps);
  if (refusal != nullptr) return refusal;
  if (problem.panel != 0 && problem.panel != kLowbitBf16Tile) {
    return "needs x in panels of 16 rows";
  }
  return wide_groups(problem);
}

const char* refuses_avx512bf16(const LinearLowbitBf16Problem& problem,
                               const Caps& caps) {
  const char* refusal = needs_avx512bf16(problem, caps);
  if (refusal != nullptr) return refusal;
  if (problem.panel == kLowbitBf16Tile) {
    return "needs x in panels of up to 8 rows";
  }
  return wide_groups(problem);
}

std::int64_t amx_workspace(const LinearLowbitBf16Problem& problem,
                           std::int64_t threads) {
  const std::int64_t rows = std::min(problem.m, kBf16AmxRows);
  return threads * workspace_size<Bf16AmxWorkspace, Bf16AmxSlot>(
                       (rows + kTileSide - 1) / kTileSide);
}

std::int64_t avx512bf16_workspace(const LinearLowbitBf16Problem& problem,
                                  std::int64_t threads) {
  if (!stages_codes(problem.m, problem.bits, problem.group)) return 0;
  return threads * workspace_size<StagedPairs, StagedSums>(
                       std::min((problem.m + 7) / 8, kStagedPanels));
}

std::int32_t tile_panel(std::int64_t) { return kLowbitBf16Tile; }

constexpr LinearLowbitBf16Kernel kCpu[] = {
    {"linear_bf16_ixg_amx",
     refuses_amx,
     run_linear_lowbit_bf16_amx,
     amx_workspace,
     tile_panel},
    {"linear_bf16_ixg_avx512bf16",
     refuses_avx512bf16,
     run_linear_lowbit_bf16_avx512bf16,
     avx512bf16_workspace,
     LowbitActivationBuffer::panel_of},
    {"linear_bf16_ixg_ref",
     accepts_any<LinearLowbitBf16Problem>,
     run_linear_lowbit_bf16_ref,
     no_workspace<LinearLowbitBf16Problem>,
     LowbitActivationBuffer::panel_of},
};

constexpr std::int64_t kUnits = kLowbitChunk / 4;

// The values of a unit in the order 0, 2, 1, 3.
std::uint64_t unit_order(std::uint64_t unit) {
  return (unit & 0xffff00000000ffff) | (unit & 0x0000ffff00000000) >> 16 |
         (unit & 0x00000000ffff0000) << 16;
}

// Units of a chunk, `step` units apart.
void put_units(const std::uint16_t* chunk,
               std::int64_t step,
               std::uint64_t* out) {
  std::uint64_t units[kUnits];
  std::memcpy(units, chunk, sizeof(units));
  for (std::uint64_t& unit : units) unit = unit_order(unit);
  for (std::int64_t u = 0; u < kUnits; ++u) out[u * step] = units[u];
}

float sum_of(const std::uint16_t* chunk) {
  float sum[4] = {};
  for (std::int64_t u = 0; u < kUnits; ++u) {
    for (std::int64_t j = 0; j < 4; ++j) {
      sum[j] += bfloat16_to_float(chunk[4 * u + j]);
    }
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

std::span<const LinearLowbitBf16Kernel> linear_lowbit_bf16_kernels() {
  return kCpu;
}

const LinearLowbitBf16Kernel& select_linear_lowbit_bf16(
    const LinearLowbitBf16Problem& problem) {
  return select(kOp, linear_lowbit_bf16_kernels(), problem, host_caps());
}

void list_linear_lowbit_bf16(const Caps& caps, std::vector<KernelInfo>& out) {
  // Of a prompt, which every row may take.
  const LinearLowbitBf16Problem problem = {.m = kAmxBf16LeastRows};
  list_kernels(kOp, linear_lowbit_bf16_kernels(), problem, caps, out);
}

std::int64_t LowbitBf16Buffer::chunks() const {
  return (k_ + kLowbitChunk - 1) / kLowbitChunk;
}

std::int64_t LowbitBf16Buffer::panels() const {
  return (m_ + panel_ - 1) / panel_;
}

void LowbitBf16Buffer::resize(std::int64_t m, std::int64_t k) {
  resize(m, k, select_linear_lowbit_bf16({.m = m, .k = k}).panel_of(m));
}

void LowbitBf16Buffer::resize(std::int64_t m,
                              std::int64_t k,
                              std::int32_t panel) {
  m_ = m;
  k_ = k;
  panel_ = panel;
  const auto rows = static_cast<std::size_t>(panels() * panel_);
  const auto count = static_cast<std::size_t>(chunks());
  values_.reserve(rows * count * kLowbitChunk * sizeof(std::uint16_t));
  sums_.reserve(rows * count * sizeof(float));
}

void LowbitBf16Buffer::fill(const std::uint16_t* x,
                            std::int64_t stride,
                            std::int64_t begin,
                            std::int64_t end) {
  const LowbitBf16s all = view();
  const std::int64_t step = panel_ == kLowbitBf16Tile ? 1 : panel_;
  for (std::int64_t i = begin * panel_; i < end * panel_; ++i) {
    const std::int64_t at = i / panel_ * chunks() * panel_ + i % panel_;
    auto* out = values_.as<std::uint64_t>() + bf16_unit_place(all, i, 0) / 4;
    float* sums = sums_.as<float>() + at;
    for (std::int64_t c = 0; c < chunks(); ++c) {
      const std::int64_t first = c * kLowbitChunk;
      const std::int64_t count =
          i < m_ ? std::min(kLowbitChunk, k_ - first) : 0;
      std::uint16_t part[kLowbitChunk] = {};
      const std::uint16_t* from = part;
      if (count == kLowbitChunk) {
        from = x + i * stride + first;
      } else if (count > 0) {
        std::copy_n(x + i * stride + first, count, part);
      }
      sums[c * panel_] = sum_of(from);
      put_units(from, step, out + c * kUnits * panel_);
    }
  }
}

LowbitBf16s LowbitBf16Buffer::view() const {
  return {m_,
          chunks() * kLowbitChunk,
          panel_,
          values_.as<std::uint16_t>(),
          sums_.as<float>()};
}

}  // namespace mantissa::kernels
