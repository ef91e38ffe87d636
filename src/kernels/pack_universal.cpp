#include "kernels/pack_universal.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kPack = "pack_universal";
constexpr const char* kUnpack = "unpack_universal";
using Problem = PackUniversalProblem;

constexpr PackUniversalKernel kPackKernels[] = {
    {"pack_universal_avx512", needs_avx512<Problem>, run_pack_universal_avx512},
    {"pack_universal_avx2", needs_avx2<Problem>, run_pack_universal_avx2},
    {"pack_universal_ref", accepts_any<Problem>, run_pack_universal_ref},
};

constexpr UnpackUniversalKernel kUnpackKernels[] = {
    {"unpack_universal_avx512",
     needs_avx512<Problem>,
     run_unpack_universal_avx512},
    {"unpack_universal_avx2", needs_avx2<Problem>, run_unpack_universal_avx2},
    {"unpack_universal_ref", accepts_any<Problem>, run_unpack_universal_ref},
};

}  // namespace

std::span<const PackUniversalKernel> pack_universal_kernels() {
  return kPackKernels;
}

std::span<const UnpackUniversalKernel> unpack_universal_kernels() {
  return kUnpackKernels;
}

const PackUniversalKernel& select_pack_universal(const Problem& problem) {
  return select(kPack, pack_universal_kernels(), problem, host_caps());
}

const UnpackUniversalKernel& select_unpack_universal(const Problem& problem) {
  return select(kUnpack, unpack_universal_kernels(), problem, host_caps());
}

void list_pack_universal(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kPack, pack_universal_kernels(), Problem{}, caps, out);
}

void list_unpack_universal(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kUnpack, unpack_universal_kernels(), Problem{}, caps, out);
}

}  // namespace mantissa::kernels
