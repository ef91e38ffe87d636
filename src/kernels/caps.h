#pragma once

#include <string>

namespace mantissa::kernels {

/// Instruction sets that kernels may use here. AVX-512 implies AVX2; the others
/// imply AVX-512 and, unless they say so, nothing of each other.
struct Caps {
  bool avx2 = false;        ///< AVX2, FMA, F16C
  bool avx512 = false;      ///< AVX-512 F, BW, DQ, VL
  bool avx512vnni = false;  ///< AVX-512 VNNI
  bool avx512bf16 = false;  ///< AVX-512 BF16, VBMI, GFNI
  bool amx_int8 = false;    ///< AMX tiles of int8, granted to this process
  bool amx_bf16 = false;    ///< of bfloat16; implies AVX-512 BF16 too
  /// The processor has AMX, the operating system does not grant it.
  bool amx_refused = false;
};

/// A machine that has all of it: what a kernel refuses there is the problem.
inline constexpr Caps kEveryCap = {.avx2 = true,
                                   .avx512 = true,
                                   .avx512vnni = true,
                                   .avx512bf16 = true,
                                   .amx_int8 = true,
                                   .amx_bf16 = true};

/// What the system says to a process whose AMX it refuses.
inline constexpr const char* kAmxRefused =
    "the system does not grant AMX tiles (arch_prctl ARCH_REQ_XCOMP_PERM)";

/// What this machine has, capped by
/// MANTISSA_CPU=scalar|avx2|avx512|avx512vnni|amx (read once). avx512 leaves
/// F, BW, DQ and VL, avx512vnni these with VNNI, amx everything. The tiles of
/// AMX are asked for by the first call, where the cap leaves them. Throws
/// Error(Usage) for another value of the variable.
const Caps& host_caps();

/// The caps of a MANTISSA_CPU value ("" = no cap) on a machine with `machine`.
Caps limit_caps(const Caps& machine, const std::string& limit);

/// "avx512", "avx2" or "scalar": the highest level that encoders use.
const char* level_name(const Caps& caps);

}  // namespace mantissa::kernels
