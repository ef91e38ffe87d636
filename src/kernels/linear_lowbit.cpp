#include "kernels/linear_lowbit.h"

#include <algorithm>

#include "kernels/common/refusals.h"
#include "kernels/cpu/lowbit_workspaces.h"
#include "kernels/lowbit_activations.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "linear_lowbit";

// Segments of 32 values fill half a tile and were no faster than the row below;
// those of 64 gained in one measurement and lost in another.
const char* refuses_amx(const LinearLowbitProblem& problem, const Caps& caps) {
  const char* refusal = needs_amx_int8(problem, caps);
  if (refusal != nullptr) return refusal;
  if (problem.segment < 64) return "needs groups of 64 values or more";
  if (problem.from_zero) return "takes no codes that count from 0";
  return problem.levels ? "takes one level of scales" : nullptr;
}

template <const char* (*machine)(const LinearLowbitProblem&, const Caps&)>
const char* refuses_vectors(const LinearLowbitProblem& problem,
                            const Caps& caps) {
  const char* refusal = machine(problem, caps);
  if (refusal != nullptr || !problem.levels) return refusal;
  return lowbit_levels_refusal(problem.bits, problem.segment < kLowbitChunk);
}

std::int64_t amx_workspace(const LinearLowbitProblem& problem,
                           std::int64_t threads) {
  const std::int64_t slots = amx_rows_at_once(problem.m, problem.k) / kTileSide;
  const auto rows = static_cast<std::int64_t>(sizeof(AmxRowTile)) *
                    amx_depth(problem.k) * slots;
  return threads * (workspace_size<AmxWorkspace, AmxSlot>(slots) + rows);
}

// Panels of 1 and 2 rows stay in registers.
std::int64_t avx2_workspace(const LinearLowbitProblem& problem,
                            std::int64_t threads) {
  const std::int64_t panel = LowbitActivationBuffer::panel_of(problem.m);
  if (panel <= 2) return 0;
  const std::int64_t rows = (problem.m + panel - 1) / panel * panel;
  return threads *
         workspace_size<Avx2Workspace, Avx2Sums>(2 * std::min(rows, kAvx2Rows));
}

constexpr LinearLowbitKernel kCpu[] = {
    {"linear_i8dyn_ixg_amx", refuses_amx, run_linear_lowbit_amx, amx_workspace},
    {"linear_i8dyn_ixg_avx512vnni",
     refuses_vectors<needs_avx512vnni<LinearLowbitProblem>>,
     run_linear_lowbit_avx512vnni,
     no_workspace<LinearLowbitProblem>},
    {"linear_i8dyn_ixg_avx2",
     refuses_vectors<needs_avx2<LinearLowbitProblem>>,
     run_linear_lowbit_avx2,
     avx2_workspace},
    {"linear_i8dyn_ixg_ref",
     accepts_any<LinearLowbitProblem>,
     run_linear_lowbit_ref,
     no_workspace<LinearLowbitProblem>},
};

}  // namespace

std::span<const LinearLowbitKernel> linear_lowbit_kernels() { return kCpu; }

const LinearLowbitKernel& select_linear_lowbit(
    const LinearLowbitProblem& problem) {
  return select(kOp, linear_lowbit_kernels(), problem, host_caps());
}

void list_linear_lowbit(const Caps& caps, std::vector<KernelInfo>& out) {
  // Of a prompt, which every row may take.
  const LinearLowbitProblem problem = {.m = kAmxLeastRows};
  list_kernels(kOp, linear_lowbit_kernels(), problem, caps, out);
}

}  // namespace mantissa::kernels
