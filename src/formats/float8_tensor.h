#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <mantissa/formats/float8_tensor.h>

#include "primitives/row_grid.h"

namespace mantissa {

/// Everything an encoded Float8Tensor remembers: its spec, with the block in
/// place of the granularity, as the file has it.
struct Float8Parameters {
  RowGrid grid;
  Float8Spec spec;
};

/// What a Float8Tensor remembers; null for another format.
const Float8Parameters* float8_parameters(const Encoding& encoding);

/// The `_data` object of a Float8Tensor.
std::string float8_attributes(const Float8Parameters& parameters, DType dtype);

/// What such an object says; the block size is absent in old files and empty
/// for per-tensor scales.
struct Float8Attributes {
  std::optional<Shape> block_size;
  Float8Spec spec;
  DType dtype = DType::Float32;
};

/// Throws Error(Input) naming the attribute, expected and found.
Float8Attributes parse_float8_attributes(std::string_view text);

/// An encoder that knows nothing of files; see formats/float8_encoder.cpp.
std::unique_ptr<Encoder> make_float8_encoder(const Float8Parameters& parameters,
                                             DType dtype);

/// What that encoder keeps between its passes (Encoding::pass_bytes()).
std::int64_t float8_pass_bytes(const Float8Parameters& parameters);

/// The registry's parse function of Float8Tensor.
std::shared_ptr<const Encoding> parse_float8_tensor(
    std::string_view attributes, std::span<const FieldLayout> fields);

}  // namespace mantissa
