#include "kernels/pack_bits.h"

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kPack = "pack_bits";
constexpr const char* kUnpack = "unpack_bits";

constexpr PackBitsKernel kPackKernels[] = {
    {"pack_bits_avx512", needs_avx512<PackBitsProblem>, run_pack_bits_avx512},
    {"pack_bits_avx2", needs_avx2<PackBitsProblem>, run_pack_bits_avx2},
    {"pack_bits_ref", accepts_any<PackBitsProblem>, run_pack_bits_ref},
};

constexpr UnpackBitsKernel kUnpackKernels[] = {
    {"unpack_bits_avx512",
     needs_avx512<PackBitsProblem>,
     run_unpack_bits_avx512},
    {"unpack_bits_avx2", needs_avx2<PackBitsProblem>, run_unpack_bits_avx2},
    {"unpack_bits_ref", accepts_any<PackBitsProblem>, run_unpack_bits_ref},
};

}  // namespace

std::span<const PackBitsKernel> pack_bits_kernels() { return kPackKernels; }

std::span<const UnpackBitsKernel> unpack_bits_kernels() {
  return kUnpackKernels;
}

const PackBitsKernel& select_pack_bits(const PackBitsProblem& problem) {
  return select(kPack, pack_bits_kernels(), problem, host_caps());
}

const UnpackBitsKernel& select_unpack_bits(const PackBitsProblem& problem) {
  return select(kUnpack, unpack_bits_kernels(), problem, host_caps());
}

int64_t first_out_of_range(int bits,
                           CodeRange range,
                           const int8_t* codes,
                           int64_t count) {
  if (bits == 8) return -1;
  const int low = range == CodeRange::Signed ? -(1 << (bits - 1)) : 0;
  const int high = low + (1 << bits) - 1;
  for (int64_t i = 0; i < count; ++i) {
    if (codes[i] < low || codes[i] > high) return i;
  }
  return -1;
}

void list_pack_bits(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kPack, pack_bits_kernels(), PackBitsProblem{}, caps, out);
}

void list_unpack_bits(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kUnpack, unpack_bits_kernels(), PackBitsProblem{}, caps, out);
}

}  // namespace mantissa::kernels
