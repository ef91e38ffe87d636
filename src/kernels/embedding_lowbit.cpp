#include "kernels/embedding_lowbit.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "embedding_lowbit";

constexpr EmbeddingLowbitKernel kCpu[] = {
    {"embedding_lowbit_avx512",
     needs_avx512<EmbeddingLowbitProblem>,
     run_embedding_lowbit_avx512},
    {"embedding_lowbit_avx2",
     needs_avx2<EmbeddingLowbitProblem>,
     run_embedding_lowbit_avx2},
    {"embedding_lowbit_ref",
     accepts_any<EmbeddingLowbitProblem>,
     run_embedding_lowbit_ref},
};

}  // namespace

std::span<const EmbeddingLowbitKernel> embedding_lowbit_kernels() {
  return kCpu;
}

const EmbeddingLowbitKernel& select_embedding_lowbit(
    const EmbeddingLowbitProblem& problem) {
  return select(kOp, embedding_lowbit_kernels(), problem, host_caps());
}

void list_embedding_lowbit(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, embedding_lowbit_kernels(), EmbeddingLowbitProblem{}, caps, out);
}

}  // namespace mantissa::kernels
