#pragma once

#include <cstddef>
#include <memory>

#include <mantissa/formats/int4_tensor.h>

#include "kernels/common/nibbles.h"

namespace mantissa {

/// The fields of an Int4Tensor in the order of the constructor.
enum Int4Field : std::size_t {
  kInt4Qdata,
  kInt4Scale,
  kInt4ZeroPoint,
  kInt4ActPreScale,
};

// Byte i of a row of qdata holds column 2i in its low nibble and column 2i + 1
// in its high one, both two's complement:
//
//   bit   7 6 5 4   3 2 1 0
//         col 2i+1  col 2i
constexpr kernels::NibbleOrder kInt4Order = kernels::NibbleOrder::LowFirst;

/// An encoder for weights of this extent and dtype, which fit the spec.
std::unique_ptr<Encoder> make_int4_encoder(const Shape& shape,
                                           DType dtype,
                                           const Int4Spec& spec);

}  // namespace mantissa
