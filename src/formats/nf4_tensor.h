#pragma once

#include <memory>
#include <span>
#include <string_view>

#include <mantissa/formats/nf4_tensor.h>

namespace mantissa {

/// An encoder that knows nothing of files; see formats/nf4_encoder.cpp.
std::unique_ptr<Encoder> make_nf4_encoder(const Shape& shape,
                                          DType dtype,
                                          const NF4Spec& spec);

/// The registry's parse function of NF4Tensor.
std::shared_ptr<const Encoding> parse_nf4_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

}  // namespace mantissa
