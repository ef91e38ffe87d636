#pragma once

#include <memory>
#include <string>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/dialects/dialect.h"

namespace mantissa {

/// The encoding of a stored weight as products need it: where its scheme (of
/// compressed-tensors) has static activations, input_scale and input_zero_point
/// of its module are fields too. Throws Error(Usage) for activations that no
/// product runs and Error(Input) for an input scale that is missing or has
/// another form, naming the tensor.
std::shared_ptr<const Encoding> runnable_encoding(
    const CheckpointSource& stored, const DialectTensor& tensor);

/// The fields of runnable_encoding(), from the tensor's own.
EncodedTensor runnable_fields(const CheckpointSource& stored,
                              const DialectTensor& tensor,
                              EncodedTensor own);

/// Throws Error(Usage) if the scheme of a stored weight has activations: it
/// becomes part of `name`, whose products run plain values.
void refuse_scheme_activations(const std::string& name,
                               const DialectTensor& tensor);

}  // namespace mantissa
