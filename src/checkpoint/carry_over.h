#pragma once

#include <memory>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// True when the grid of `encoding` holds every value of the stored type, each
/// rounded once to the logical dtype, so that codes move without arithmetic:
/// Q8_0 and Q4_0 to Int8Tensor in groups of 32; Q8_0, Q5_0 and Q4_0 to
/// IntxUnpackedToInt8Tensor of their width in groups of 32 with float32 or
/// float16 scales; Q4_1 to Int4Tensor of float32 in groups of 32; any type of
/// find_gguf_grid() to a GgufTensor of that type.
bool carries_exactly(const SourceTensor& tensor, const Encoding& encoding);

/// An encoder that takes STORED rows (UInt8 [rows, row bytes], as
/// read_stored_rows() delivers them); null unless carries_exactly(). It throws
/// Error(Input), naming tensor, row and group, for a scale that is not finite
/// and for a Q4_1 block whose zero point m + 8 d float32 does not hold (|m| and
/// |d| more than thirteen binary orders apart).
std::unique_ptr<Encoder> make_carry_encoder(
    const SourceTensor& tensor, std::shared_ptr<const Encoding> encoding);

}  // namespace mantissa
