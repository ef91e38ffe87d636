#pragma once

#include <cstdint>

#include "kernels/caps.h"

namespace mantissa::kernels {

// Refusals that look at the machine only, for kernel tables.

template <class Problem>
const char* accepts_any(const Problem&, const Caps&) {
  return nullptr;
}

template <class Problem>
const char* needs_avx2(const Problem&, const Caps& caps) {
  return caps.avx2 ? nullptr : "needs AVX2";
}

template <class Problem>
const char* needs_avx512(const Problem&, const Caps& caps) {
  return caps.avx512 ? nullptr : "needs AVX-512 F, BW, DQ, VL";
}

/// Rows of x from which tiles of 16 rows pay: unpacking the weights and moving
/// sums out of tiles cost as much as the products of 16 rows (measured).
inline constexpr std::int64_t kAmxLeastRows = 32;

template <class Problem>
const char* needs_amx_int8(const Problem& problem, const Caps& caps) {
  if (caps.amx_refused) {
    return "the system does not grant AMX tiles (arch_prctl "
           "ARCH_REQ_XCOMP_PERM)";
  }
  if (!caps.amx_int8) return "needs AMX-INT8";
  return problem.m < kAmxLeastRows ? "needs 32 rows or more" : nullptr;
}

}  // namespace mantissa::kernels
