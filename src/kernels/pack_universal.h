#pragma once

#include <span>
#include <vector>

#include "kernels/pack_universal_args.h"
#include "kernels/select.h"

namespace mantissa::kernels {

/// Strips of 8 rows of a weight as torchao's universal linear kernels read
/// them (pack_universal_args.h).
struct PackUniversalKernel {
  const char* name;
  const char* (*refuses)(const PackUniversalProblem&, const Caps&);
  bool (*run)(const PackUniversalProblem&, const PackUniversalArgs&);
};

struct UnpackUniversalKernel {
  const char* name;
  const char* (*refuses)(const PackUniversalProblem&, const Caps&);
  bool (*run)(const PackUniversalProblem&, const UnpackUniversalArgs&);
};

/// In order of preference; the reference is last. All give the same bytes.
std::span<const PackUniversalKernel> pack_universal_kernels();
std::span<const UnpackUniversalKernel> unpack_universal_kernels();

/// The kernel for this machine.
const PackUniversalKernel& select_pack_universal(
    const PackUniversalProblem& problem);
const UnpackUniversalKernel& select_unpack_universal(
    const PackUniversalProblem& problem);

void list_pack_universal(const Caps& caps, std::vector<KernelInfo>& out);
void list_unpack_universal(const Caps& caps, std::vector<KernelInfo>& out);

}  // namespace mantissa::kernels
