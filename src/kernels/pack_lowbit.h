#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/pack_lowbit_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Codes of 1 to 8 bits into the runtime layout of low-bit products (op
/// "pack_lowbit").
struct PackLowbitKernel {
  const char* name;
  const char* (*refuses)(const PackLowbitProblem&, const Caps&);
  void (*run)(const PackLowbitArgs&, std::int64_t, std::int64_t);
};

/// The inverse (op "unpack_lowbit").
struct UnpackLowbitKernel {
  const char* name;
  const char* (*refuses)(const PackLowbitProblem&, const Caps&);
  void (*run)(const UnpackLowbitArgs&, std::int64_t, std::int64_t);
};

/// In order of preference; the reference is last. All give the same bytes.
std::span<const PackLowbitKernel> pack_lowbit_kernels();
std::span<const UnpackLowbitKernel> unpack_lowbit_kernels();

/// The kernel for this machine.
const PackLowbitKernel& select_pack_lowbit(const PackLowbitProblem& problem);
const UnpackLowbitKernel& select_unpack_lowbit(
    const PackLowbitProblem& problem);

void list_pack_lowbit(const Caps& caps, std::vector<KernelInfo>& out);
void list_unpack_lowbit(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
