#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mantissa {

/// torchao's packed weights for CPU kernels: one int8 tensor, a header of 64
/// bytes and a body. The number is the one in the header.
enum class PackedWeightsType : std::int32_t {
  LinearUniversal = 1,     ///< PackedLinear
  Embedding = 2,           ///< PackedEmbedding
  LinearKleidiAI = 3,      ///< recognised, not read
  LinearInt8Lut = 4,       ///< PackedLinear with lookup tables
  LinearGroupwiseLut = 5,  ///< PackedGroupwiseLut
};

/// "linear (universal)", "embedding", "linear (KleidiAI)", ...
std::string_view name(PackedWeightsType type);

/// The type that the header of a packed object names. Throws Error(Input) when
/// there is no whole header, its magic is not 6712 or the type is unknown.
PackedWeightsType packed_weights_type(std::span<const std::byte> packed);

}  // namespace mantissa
