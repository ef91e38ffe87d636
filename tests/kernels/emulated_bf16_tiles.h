#pragma once

// Only C headers here: a file with the instruction set of a kernel includes
// this.
#include "kernels/attention_bf16_args.h"
#include "kernels/cpu/tile_shapes.h"
#include "kernels/linear_lowbit_bf16_args.h"

namespace mantissa::kernels {

// Tile registers of bfloat16 that plain C++ plays, as the manual of the
// instructions describes them. A tile used against its shape throws
// std::logic_error.
void configure_emulated_bf16(const uint8_t* shapes);
void release_emulated_bf16();
void zero_emulated_bf16(int tile);
void load_emulated_bf16(int tile, const void* from, int64_t stride);
void store_emulated_bf16(int tile, void* to, int64_t stride);
void multiply_emulated_bf16(int c, int a, int b);

/// Throws if configured tiles were not released.
void check_bf16_tiles_released();

/// The loops of attention_bf16_amx on these tiles; the rest of them needs
/// AVX-512 BF16.
void attend_bf16_emulated(const AttentionBf16Args& args,
                          const AttentionHead& head,
                          int64_t begin,
                          int64_t end,
                          const void* packed);

/// The loops of linear_bf16_ixg_amx on them; its codes need AVX-512 BF16.
void run_linear_lowbit_bf16_emulated(const LinearLowbitBf16Args& args,
                                     const LinearLowbitTiles& tiles);

}  // namespace mantissa::kernels
