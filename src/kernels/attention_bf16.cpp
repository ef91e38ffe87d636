#include "kernels/attention_bf16.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "attention_bf16";

const char* whole_pairs(const AttentionBf16Problem& problem) {
  if (problem.head_dim % 2 != 0) return "needs an even head dimension";
  if (problem.head_dim > kAttentionBf16HeadDim) {
    return "needs a head dimension of 512 or less";
  }
  return nullptr;
}

const char* on_vectors(const AttentionBf16Problem& problem, const Caps& caps) {
  const char* refusal = whole_pairs(problem);
  return refusal != nullptr ? refusal : needs_avx512bf16(problem, caps);
}

// For any number of queries: 32 elements of 16 keys take 16 `vdpbf16ps` a
// query, of two cycles each where there are tiles, and a tile of 16 queries 16
// cycles.
const char* on_tiles(const AttentionBf16Problem& problem, const Caps& caps) {
  const char* refusal = whole_pairs(problem);
  return refusal != nullptr ? refusal : needs_amx_bf16_tiles(caps);
}

constexpr AttentionBf16Kernel kCpu[] = {
    {"attention_bf16_amx",
     on_tiles,
     pack_attention_bf16_amx,
     attend_bf16_amx,
     kAttentionAmxTile},
    {"attention_bf16_avx512bf16",
     on_vectors,
     pack_attention_bf16_avx512bf16,
     attend_bf16_avx512bf16,
     kAttentionVectorTile},
    {"attention_bf16_ref",
     accepts_any<AttentionBf16Problem>,
     pack_attention_bf16_ref,
     attend_bf16_ref,
     1},
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
