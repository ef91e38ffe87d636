#pragma once

#include <span>
#include <vector>

#include "kernels/pack_bits_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Codes of 1 to 8 bits, one to a byte, packed as torchao packs them
/// (common/bit_layout.h). `run` is false when a code is out of range.
struct PackBitsKernel {
  const char* name;
  const char* (*refuses)(const PackBitsProblem&, const Caps&);
  bool (*run)(const PackBitsProblem&, const PackBitsArgs&);
};

struct UnpackBitsKernel {
  const char* name;
  const char* (*refuses)(const PackBitsProblem&, const Caps&);
  void (*run)(const PackBitsProblem&, const UnpackBitsArgs&);
};

/// In order of preference; the reference is last. All give the same bytes.
std::span<const PackBitsKernel> pack_bits_kernels();
std::span<const UnpackBitsKernel> unpack_bits_kernels();

/// The kernel for this machine.
const PackBitsKernel& select_pack_bits(const PackBitsProblem& problem);
const UnpackBitsKernel& select_unpack_bits(const PackBitsProblem& problem);

/// Index of the first of `count` codes that is out of range, -1 if none is.
int64_t first_out_of_range(int bits,
                           CodeRange range,
                           const int8_t* codes,
                           int64_t count);

void list_pack_bits(const Caps& caps, std::vector<KernelInfo>& out);
void list_unpack_bits(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
