#pragma once

#include <memory>
#include <string>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect_checkpoint.h"

namespace mantissa {

/// Rows of an encoded tensor of a source, as an encoded tensor of their own;
/// the block obeys Encoding::rows(). Safe to use from several threads.
EncodedTensor read_encoded_rows(const CheckpointSource& source,
                                const DialectTensor& tensor,
                                const RowBlock& block);

/// `target` with an encoder that does not look at values: it carries over
/// codes, scales and zero points of `tensor`, block by block. Null when the two
/// do not have the same grid. Source and tensor outlive the result.
std::shared_ptr<const Encoding> carried_from(
    const CheckpointSource& source,
    const DialectTensor& tensor,
    const std::shared_ptr<const Encoding>& target);

/// Equal for tensors that one config of another dialect may hold: of the same
/// format with the same parameters. The shape counts only so far as one scale
/// stands for a whole row, or for all of it.
std::string grid_key(const DialectTensor& tensor);

/// True when a zero point of the tensor is not 0.
bool has_zero_points(const CheckpointSource& source,
                     const DialectTensor& tensor);

}  // namespace mantissa
