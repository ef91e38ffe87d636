#pragma once

#include <string>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// Why a source cannot be quantized because it already is, with the remedy: its
/// config.json says so, or its metadata or tensors do. "" when it is not
/// quantized. A quantized GGUF is a source like any other.
std::string quantized_reason(const CheckpointSource& source);

/// The method that config.json, metadata or tensor names give away: "torchao",
/// "gptq"; "" when there is none.
std::string quantization_method(const CheckpointSource& source);

}  // namespace mantissa
