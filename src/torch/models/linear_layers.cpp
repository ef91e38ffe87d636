#include "torch/models/linear_layers.h"

#include <ATen/ops/empty.h>

#include "torch/quantize/module_parameters.h"

namespace mantissa {
namespace {

void put(torch::nn::Module& module, const char* key, const at::Tensor& value) {
  ParameterPlace{&module, "", key}.put(value);
}

}  // namespace

at::Tensor meta_parameter(at::IntArrayRef sizes, c10::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions(at::kMeta).dtype(dtype));
}

LinearPtr make_linear(std::int64_t in,
                      std::int64_t out,
                      bool bias,
                      c10::ScalarType dtype) {
  // Without rows the constructor allocates nothing and draws nothing.
  auto linear = std::make_shared<torch::nn::LinearImpl>(
      torch::nn::LinearOptions(1, 0).bias(bias));
  linear->options.in_features(in).out_features(out);
  put(*linear, "weight", meta_parameter({out, in}, dtype));
  if (bias) put(*linear, "bias", meta_parameter({out}, dtype));
  return linear;
}

EmbeddingPtr make_embedding(std::int64_t rows,
                            std::int64_t width,
                            c10::ScalarType dtype) {
  auto embedding = std::make_shared<torch::nn::EmbeddingImpl>(
      torch::nn::EmbeddingOptions(rows, width)
          ._weight(meta_parameter({rows, width}, dtype)));
  put(*embedding, "weight", meta_parameter({rows, width}, dtype));
  return embedding;
}

}  // namespace mantissa
