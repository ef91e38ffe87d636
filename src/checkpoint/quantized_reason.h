#pragma once

#include <string>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Why a source cannot be quantized because it already is, with the remedy: its
/// config.json says so, or its metadata or tensors do. "" when it is not
/// quantized. A quantized GGUF is a source like any other.
std::string quantized_reason(const CheckpointSource& source);

/// Why `convert`, which casts weights, cannot take a source: it is quantized in
/// a way that convert does not decode. "" when it can.
std::string convert_refusal(const CheckpointSource& source);

/// Why the weights of a source that no dialect recognizes cannot be read: it is
/// quantized in a way that is not read here. "" when they can.
std::string unread_quantization(const CheckpointSource& source);

/// How config.json and the files contradict each other: it names another method
/// than torchao, whose metadata the files hold. "" when they agree or only one
/// of them speaks. Which of the two is right cannot be told.
std::string quantization_conflict(const CheckpointSource& source);

/// The method that config.json, metadata or tensor names give away: "torchao",
/// "gptq"; "" when there is none.
std::string quantization_method(const CheckpointSource& source);

}  // namespace mantissa
