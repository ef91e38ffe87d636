#pragma once

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

}  // namespace mantissa::kernels
