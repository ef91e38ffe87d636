#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>

namespace mantissa {

using LinearPtr = std::shared_ptr<torch::nn::LinearImpl>;
using EmbeddingPtr = std::shared_ptr<torch::nn::EmbeddingImpl>;

/// A parameter of these sizes on torch's meta device: shape and dtype, no
/// memory. load_parameters() replaces it; check_names() finds one that it would
/// not.
at::Tensor meta_parameter(at::IntArrayRef sizes, c10::ScalarType dtype);

/// torch's Linear with meta parameters: no memory, no random numbers drawn.
LinearPtr make_linear(std::int64_t in,
                      std::int64_t out,
                      bool bias,
                      c10::ScalarType dtype);

/// linear->forward(x) of each. Packed weights that take the same int8 codes of
/// x share them, where nothing is differentiated; their bias enters the product
/// (torch's Linear adds it to what more than two dimensions give).
std::vector<at::Tensor> forward_each(
    const at::Tensor& x, std::initializer_list<const LinearPtr*> linears);

/// torch's Embedding with a meta parameter.
EmbeddingPtr make_embedding(std::int64_t rows,
                            std::int64_t width,
                            c10::ScalarType dtype);

}  // namespace mantissa
