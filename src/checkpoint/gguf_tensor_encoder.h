#pragma once

#include <memory>
#include <string>

#include <mantissa/formats/encoding.h>

namespace mantissa {

/// An encoder that takes stored rows (UInt8 [rows, row bytes], as
/// read_stored_rows() delivers them) of the block type of a GgufTensor's
/// encoding and takes them apart. It throws Error(Input), naming tensor, row
/// and group of values, for a scale that is not finite.
std::unique_ptr<Encoder> make_gguf_tensor_encoder(
    std::string name, std::shared_ptr<const Encoding> encoding);

}  // namespace mantissa
