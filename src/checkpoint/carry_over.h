#pragma once

#include <memory>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {

/// True when the grid of `encoding` holds every value of the stored type, each
/// rounded once to the logical dtype.
bool carries_exactly(const SourceTensor& tensor, const Encoding& encoding);

/// An encoder that takes STORED rows (UInt8 [rows, row bytes]); null unless
/// carries_exactly().
std::unique_ptr<Encoder> make_carry_encoder(
    const SourceTensor& tensor, std::shared_ptr<const Encoding> encoding);

}  // namespace mantissa
