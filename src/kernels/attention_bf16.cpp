#include "kernels/attention_bf16.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "attention_bf16";

const char* whole_pairs(const AttentionBf16Problem& problem, const Caps& caps) {
  if (problem.head_dim % 2 != 0) return "needs an even head dimension";
  if (problem.head_dim > kAttentionBf16HeadDim) {
    return "needs a head dimension of 512 or less";
  }
  return needs_avx512bf16(problem, caps);
}

constexpr AttentionBf16Kernel kCpu[] = {
    {"attention_bf16_avx512bf16",
     whole_pairs,
     pack_attention_bf16_avx512bf16,
     attend_bf16_avx512bf16},
    {"attention_bf16_ref",
     accepts_any<AttentionBf16Problem>,
     pack_attention_bf16_ref,
     attend_bf16_ref},
};

}  // namespace

std::span<const AttentionBf16Kernel> attention_bf16_kernels() { return kCpu; }

const AttentionBf16Kernel& select_attention_bf16(
    const AttentionBf16Problem& problem) {
  return select(kOp, attention_bf16_kernels(), problem, host_caps());
}

void list_attention_bf16(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, attention_bf16_kernels(), AttentionBf16Problem{}, caps, out);
}

}  // namespace mantissa::kernels
