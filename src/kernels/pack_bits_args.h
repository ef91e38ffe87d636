#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// Which codes of b bits are allowed, and how they are stored.
enum class CodeRange : uint8_t {
  Signed,  ///< -2^(b-1) .. 2^(b-1)-1, stored plus 2^(b-1); 8 bits as they are
  Index,   ///< 0 .. 2^b-1, stored as they are
};

/// How results reach memory.
enum class Stores : uint8_t {
  Cached,     ///< what reads them comes soon
  Streaming,  ///< past the caches, where the target is aligned for it
};

struct PackBitsProblem {
  int bits = 4;     ///< 1 to 8
  int block = 128;  ///< codes that are packed together: 32, 64 or 128
  CodeRange range = CodeRange::Signed;
};

/// `blocks` blocks one after the other; any alignment.
struct PackBitsArgs {
  const int8_t* codes = nullptr;  ///< [blocks, block]; 8-bit indices: uint8
  int64_t blocks = 0;
  uint8_t* packed = nullptr;  ///< [blocks, block * bits / 8]
  Stores stores = Stores::Cached;
};

/// The inverse of PackBitsArgs.
struct UnpackBitsArgs {
  const uint8_t* packed = nullptr;
  int64_t blocks = 0;
  int8_t* codes = nullptr;
  Stores stores = Stores::Cached;
};

// Packing is true when all codes are in range; otherwise what it wrote means
// nothing.
bool run_pack_bits_ref(const PackBitsProblem& problem,
                       const PackBitsArgs& args);
bool run_pack_bits_avx2(const PackBitsProblem& problem,
                        const PackBitsArgs& args);
bool run_pack_bits_avx512(const PackBitsProblem& problem,
                          const PackBitsArgs& args);

void run_unpack_bits_ref(const PackBitsProblem& problem,
                         const UnpackBitsArgs& args);
void run_unpack_bits_avx2(const PackBitsProblem& problem,
                          const UnpackBitsArgs& args);
void run_unpack_bits_avx512(const PackBitsProblem& problem,
                            const UnpackBitsArgs& args);

}  // namespace mantissa::kernels
