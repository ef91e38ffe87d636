#include "kernels/decode_ops.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "decode_ops";

constexpr DecodeOpsKernel kCpu[] = {
    {"decode_ops_avx512",
     needs_avx512<DecodeOpsProblem>,
     rms_norm_avx512,
     rotate_avx512,
     store_cached_avx512,
     attend_one_avx512,
     merge_parts_avx512,
     gate_avx512,
     rows_by_vector_avx512},
    {"decode_ops_avx2",
     needs_avx2<DecodeOpsProblem>,
     rms_norm_avx2,
     rotate_avx2,
     store_cached_avx2,
     attend_one_avx2,
     merge_parts_avx2,
     gate_avx2,
     rows_by_vector_avx2},
    {"decode_ops_ref",
     accepts_any<DecodeOpsProblem>,
     rms_norm_ref,
     rotate_ref,
     store_cached_ref,
     attend_one_ref,
     merge_parts_ref,
     gate_ref,
     rows_by_vector_ref},
};

}  // namespace

std::span<const DecodeOpsKernel> decode_ops_kernels() { return kCpu; }

const DecodeOpsKernel& select_decode_ops(const DecodeOpsProblem& problem) {
  return select(kOp, decode_ops_kernels(), problem, host_caps());
}

void list_decode_ops(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, decode_ops_kernels(), DecodeOpsProblem{}, caps, out);
}

}  // namespace mantissa::kernels
