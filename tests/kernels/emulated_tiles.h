#pragma once

// The AMX kernels on tile registers that plain C++ plays, for machines without
// them. A tile used against its shape throws std::logic_error.

#include "kernels/linear_int8_args.h"
#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

void run_linear_lowbit_emulated(const LinearLowbitArgs& args,
                                const LinearLowbitTiles& tiles);
void run_linear_int8_emulated(Element out,
                              const LinearInt8Args& args,
                              const LinearInt8Tile& tile);

/// Throws if a configured tile was not released.
void check_tiles_released();

}  // namespace mantissa::kernels
