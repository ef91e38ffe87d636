#pragma once

#include <cstdint>

#include "kernels/caps.h"

namespace mantissa::kernels {

// What kernel tables say of their rows: refusals for the machine, what AMX
// wants of a problem, and no workspace.

template <class Problem>
const char* accepts_any(const Problem&, const Caps&) {
  return nullptr;
}

/// A row without workspace.
template <class Problem>
std::int64_t no_workspace(const Problem&, std::int64_t) {
  return 0;
}

template <class Problem>
const char* needs_avx2(const Problem&, const Caps& caps) {
  return caps.avx2 ? nullptr : "needs AVX2";
}

template <class Problem>
const char* needs_avx512(const Problem&, const Caps& caps) {
  return caps.avx512 ? nullptr : "needs AVX-512 F, BW, DQ, VL";
}

template <class Problem>
const char* needs_avx512vnni(const Problem&, const Caps& caps) {
  return caps.avx512vnni ? nullptr : "needs AVX-512 VNNI";
}

template <class Problem>
const char* needs_avx512bf16(const Problem&, const Caps& caps) {
  return caps.avx512bf16 ? nullptr : "needs AVX-512 BF16, VBMI, GFNI";
}

/// Rows of x from which tiles of 16 rows are taken: with 16 rows unpacking the
/// weights and moving sums out of tiles cost as much as they save, with 128
/// less (docs/benchmarks/lowbit.md, linear_lowbit). Between them, and for
/// linear_int8, nothing is measured.
inline constexpr std::int64_t kAmxLeastRows = 32;

template <class Problem>
const char* needs_amx_int8(const Problem& problem, const Caps& caps) {
  if (caps.amx_refused) return kAmxRefused;
  if (!caps.amx_int8) return "needs AMX-INT8";
  return problem.m < kAmxLeastRows ? "needs 32 rows or more" : nullptr;
}

/// The same for tiles of bfloat16. 32 values of 16 columns take 16 `vdpbf16ps`
/// a row, two cycles each on the Xeons that have both (80 GFLOP/s at most), and
/// from 5 rows on those of a panel of 8: 256 cycles. A tile of 16 rows takes
/// 16, and what stands around it, unpacking above all, about 100 whatever the
/// rows. Measured, 5 rows take 0.4 to 0.6 of the time
/// (docs/benchmarks/lowbit.md, bfloat16 activations).
inline constexpr std::int64_t kAmxBf16LeastRows = 5;

inline const char* needs_amx_bf16_tiles(const Caps& caps) {
  if (caps.amx_refused) return kAmxRefused;
  return caps.amx_bf16 ? nullptr : "needs AMX-BF16";
}

template <class Problem>
const char* needs_amx_bf16(const Problem& problem, const Caps& caps) {
  const char* refusal = needs_amx_bf16_tiles(caps);
  if (refusal != nullptr) return refusal;
  return problem.m < kAmxBf16LeastRows ? "needs 5 rows or more" : nullptr;
}

/// What the vector rows take of two levels of scales, in groups of 16 or of
/// more: what files have (GGUF's K-quants).
inline const char* lowbit_levels_refusal(int bits, bool groups_of_16) {
  if (groups_of_16) {
    return bits == 2 || bits == 3 || bits == 6
               ? nullptr
               : "takes groups of 16 with 2, 3 or 6 bits";
  }
  return bits == 4 || bits == 5
             ? nullptr
             : "takes two levels of scales with 4 or 5 bits, or groups of 16";
}

}  // namespace mantissa::kernels
