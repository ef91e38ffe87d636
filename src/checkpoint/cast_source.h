#pragma once

#include <memory>

#include <mantissa/checkpoint/source.h>

namespace mantissa {

/// A view of `source` that delivers float32, float16 and bfloat16 tensors in
/// `dtype`, rounded half to even; everything else passes through.
std::unique_ptr<CheckpointSource> cast_source(
    std::unique_ptr<CheckpointSource> source, DType dtype);

}  // namespace mantissa
