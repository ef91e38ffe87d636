#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/decoder_config.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/quantize/module_parameters.h"

// A small random decoder with packed weights, for tests of decode_step().
namespace mantissa::tests {

inline DecoderConfig small_decoder() {
  DecoderConfig config;
  config.vocabulary = 50;
  config.hidden = 96;
  config.intermediate = 160;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.positions = 64;
  config.attention_scale = 0.25;
  config.ropes.resize(1);
  config.layers.resize(3);
  return config;
}

/// How linears are quantized; Rounded: with activations of their config, float8
/// or int8 codes in groups. Int8: codes of 8 bits multiplied with those of the
/// activations, by the formula of torchao or compressed-tensors.
enum class StepWeights {
  Intx,
  Int4Tensor,
  Float8,
  RoundedFloat8,
  RoundedInt8,
  Int8Torchao,
  Int8Compressed
};

inline std::shared_ptr<const Encoding> step_encoding(const Shape& shape,
                                                     StepWeights weights) {
  constexpr DType dtype = DType::Float32;
  switch (weights) {
    case StepWeights::Intx:
      return make_intx_encoding(shape,
                                dtype,
                                {.target_dtype = DType::Int4,
                                 .granularity = PerGroup{32},
                                 .mapping_type = MappingType::Asymmetric});
    case StepWeights::Int4Tensor:
      return make_int4_encoding(shape, dtype, {.group_size = 32});
    case StepWeights::Float8:
      return make_float8_encoding(shape, dtype, {});
    case StepWeights::RoundedFloat8:
      return make_compressed_encoding(
          shape,
          dtype,
          {.format = CompressedFormat::FloatQuantized,
           .num_bits = 8,
           .floating = true,
           .strategy = CompressedStrategy::Channel,
           .input_activations =
               R"({"type":"float","strategy":"token","dynamic":true})"});
    case StepWeights::Int8Torchao:
      return make_int8_encoding(
          shape, dtype, {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}});
    case StepWeights::Int8Compressed:
      return make_compressed_encoding(
          shape,
          dtype,
          {.format = CompressedFormat::IntQuantized,
           .num_bits = 8,
           .strategy = CompressedStrategy::Channel,
           .input_activations =
               R"({"symmetric":false,"strategy":"token","dynamic":true})"});
    case StepWeights::RoundedInt8:
      break;
  }
  return make_compressed_encoding(
      shape,
      dtype,
      {.num_bits = 4,
       .group_size = 32,
       .input_activations =
           R"({"strategy":"group","group_size":32,"dynamic":true})"});
}

/// Random values in a module of activations `dtype`; linears and experts
/// quantized from float32, then packed for `compute`.
inline void fill_decoder(torch::nn::Module& module,
                         Int8Compute compute,
                         StepWeights weights = StepWeights::Intx,
                         c10::ScalarType dtype = at::kFloat) {
  torch::manual_seed(11);
  for (const Parameter& parameter : parameters_of(module)) {
    const auto sizes = parameter.tensor.sizes();
    at::Tensor value = torch::randn(sizes) * (sizes.size() == 2 ? 0.15 : 0.1);
    if (sizes.size() == 1) value = value + 1;
    if (parameter.places.front().kind() == WeightKind::Linear ||
        sizes.size() == 3) {
      value = to_quantized_tensor(value, step_encoding(sizes.vec(), weights));
    } else {
      value = value.to(dtype);
    }
    for (const ParameterPlace& place : parameter.places) place.put(value);
  }
  pack_lowbit_(module, compute);
}

}  // namespace mantissa::tests
