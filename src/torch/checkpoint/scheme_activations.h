#pragma once

#include <memory>
#include <string>

#include <mantissa/checkpoint/source.h>
#include <mantissa/formats/encoding.h>

#include "checkpoint/decoded_source.h"
#include "checkpoint/dialects/dialect.h"
#include "checkpoint/loading_names.h"

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

/// Throws Error(Usage) for what the config.json of compressed-tensors asks of a
/// running model beside the products of its quantized weights:
/// kv_cache_scheme, and activations of a scheme whose weights are null where a
/// module that is not ignored has it. Names module, member and remedy.
void refuse_schemes_without_products(const DecodedSource& source,
                                     const LoadingNames& names);

/// Throws Error(Usage) if the scheme of a stored weight has activations, which
/// its products would lack: `why` is a sentence that says what would run.
void refuse_scheme_activations(const DialectTensor& tensor,
                               const std::string& why);

}  // namespace mantissa
