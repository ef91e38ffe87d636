#include "kernels/pack_lowbit.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kPack = "pack_lowbit";
constexpr const char* kUnpack = "unpack_lowbit";

constexpr PackLowbitKernel kPackKernels[] = {
    {"pack_lowbit_avx512",
     needs_avx512<PackLowbitProblem>,
     run_pack_lowbit_avx512},
    {"pack_lowbit_avx2", needs_avx2<PackLowbitProblem>, run_pack_lowbit_avx2},
    {"pack_lowbit_ref", accepts_any<PackLowbitProblem>, run_pack_lowbit_ref},
};

constexpr UnpackLowbitKernel kUnpackKernels[] = {
    {"unpack_lowbit_avx512",
     needs_avx512<PackLowbitProblem>,
     run_unpack_lowbit_avx512},
    {"unpack_lowbit_avx2",
     needs_avx2<PackLowbitProblem>,
     run_unpack_lowbit_avx2},
    {"unpack_lowbit_ref",
     accepts_any<PackLowbitProblem>,
     run_unpack_lowbit_ref},
};

}  // namespace

std::span<const PackLowbitKernel> pack_lowbit_kernels() { return kPackKernels; }

std::span<const UnpackLowbitKernel> unpack_lowbit_kernels() {
  return kUnpackKernels;
}

const PackLowbitKernel& select_pack_lowbit(const PackLowbitProblem& problem) {
  return select(kPack, pack_lowbit_kernels(), problem, host_caps());
}

const UnpackLowbitKernel& select_unpack_lowbit(
    const PackLowbitProblem& problem) {
  return select(kUnpack, unpack_lowbit_kernels(), problem, host_caps());
}

void list_pack_lowbit(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kPack, pack_lowbit_kernels(), PackLowbitProblem{}, caps, out);
}

void list_unpack_lowbit(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(
      kUnpack, unpack_lowbit_kernels(), PackLowbitProblem{}, caps, out);
}

}  // namespace mantissa::kernels
