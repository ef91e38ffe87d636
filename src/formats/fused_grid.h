#pragma once

#include <span>
#include <vector>

#include "formats/lowbit_grid.h"

namespace mantissa {

// What lowbit_grid.h says of an encoding, of a FusedTensor: the grids of its
// matrices one behind the other.

LowbitGrid fused_grid(const Encoding& encoding,
                      const kernels::LowbitLayout& layout,
                      std::span<const ConstTensorView> fields);

std::vector<HostTensor> fused_kept_fields(
    const Encoding& encoding, std::span<const ConstTensorView> fields);

std::vector<HostTensor> fused_stored_fields(const Encoding& encoding,
                                            const LowbitGrid& grid,
                                            std::vector<HostTensor> kept);

}  // namespace mantissa
