#pragma once

#include <string>

namespace mantissa::kernels {

/// Instruction sets that kernels may use here. Each level implies the ones
/// before it.
struct Caps {
  bool avx2 = false;        ///< AVX2, FMA, F16C
  bool avx512 = false;      ///< AVX-512 F, BW, DQ, VL
  bool avx512vnni = false;  ///< AVX-512 VNNI
  bool avx512bf16 = false;  ///< AVX-512 BF16
  bool amx_int8 = false;    ///< AMX tiles of int8, granted to this process
  /// The processor has AMX, the operating system does not grant it.
  bool amx_refused = false;
};

/// What this machine has, capped by
/// MANTISSA_CPU=scalar|avx2|avx512|amx (read once; amx: all of it). The tiles
/// of AMX are asked for by the first call, where the cap leaves them. Throws
/// Error(Usage) for another value of the variable.
const Caps& host_caps();

/// The caps of a MANTISSA_CPU value ("" = no cap) on a machine with `machine`.
Caps limit_caps(const Caps& machine, const std::string& limit);

/// "avx512", "avx2" or "scalar": the highest level that encoders use.
const char* level_name(const Caps& caps);

}  // namespace mantissa::kernels
