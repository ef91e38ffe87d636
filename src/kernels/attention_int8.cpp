#include "kernels/attention_int8.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "attention_int8";

using Refuses = const char* (*)(const AttentionInt8Problem&, const Caps&);

// Of rows that add in 32 bits.
template <Refuses kRefuses>
const char* short_heads(const AttentionInt8Problem& problem, const Caps& caps) {
  if (problem.head_dim > kAttentionHeadDim) {
    return "scores of more than 32768 products do not fit 32 bits";
  }
  return kRefuses(problem, caps);
}

constexpr AttentionInt8Kernel kCpu[] = {
    {"attention_int8_avx512vnni",
     short_heads<needs_avx512vnni>,
     prepare_attention_int8_avx512vnni,
     attend_int8_avx512vnni},
    {"attention_int8_avx2",
     short_heads<needs_avx2>,
     prepare_attention_int8_avx2,
     attend_int8_avx2},
    {"attention_int8_ref",
     accepts_any<AttentionInt8Problem>,
     prepare_attention_int8_ref,
     attend_int8_ref},
};

}  // namespace

std::span<const AttentionInt8Kernel> attention_int8_kernels() { return kCpu; }

const AttentionInt8Kernel& select_attention_int8(
    const AttentionInt8Problem& problem) {
  return select(kOp, attention_int8_kernels(), problem, host_caps());
}

void list_attention_int8(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kOp, attention_int8_kernels(), AttentionInt8Problem{}, caps, out);
}

}  // namespace mantissa::kernels
