#pragma once

#include <cstdint>
#include <memory>

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

namespace mantissa {

using LinearPtr = std::shared_ptr<torch::nn::LinearImpl>;
using EmbeddingPtr = std::shared_ptr<torch::nn::EmbeddingImpl>;

/// A parameter without storage, which a loader replaces.
at::Tensor placeholder(at::IntArrayRef sizes, c10::ScalarType dtype);

/// torch's Linear with placeholders for parameters: no memory, no random
/// numbers.
LinearPtr make_linear(std::int64_t in,
                      std::int64_t out,
                      bool bias,
                      c10::ScalarType dtype);

/// torch's Embedding with a placeholder for its weight.
EmbeddingPtr make_embedding(std::int64_t rows,
                            std::int64_t width,
                            c10::ScalarType dtype);

}  // namespace mantissa
