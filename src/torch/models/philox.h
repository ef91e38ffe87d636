#pragma once

#include <array>
#include <cstdint>

namespace mantissa {

/// Philox4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: Parallel random
/// numbers: as easy as 1, 2, 3; SC 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                    std::array<std::uint32_t, 2> key);

}  // namespace mantissa
