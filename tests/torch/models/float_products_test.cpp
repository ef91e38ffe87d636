#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/models/decode_step_model.h"
#include "torch/models/decoder_stack.h"
#include "torch/quantize/module_parameters.h"

namespace mantissa {
namespace {

enum class Weights { Decoded, Packed, Double };
enum class Format { Intx, TilePacked };

// int4 in groups of 32.
at::Tensor quantized(const at::Tensor& value, Format format) {
  const Shape shape = value.sizes().vec();
  if (format == Format::TilePacked) {
    return to_quantized_tensor(value.to(at::kBFloat16),
                               make_int4_tile_packed_encoding(
                                   shape, DType::BFloat16, {.group_size = 32}))
        .to(at::kFloat);
  }
  return to_quantized_tensor(
      value,
      make_intx_encoding(shape,
                         DType::Float32,
                         {.target_dtype = DType::Int4,
                          .granularity = PerGroup{32},
                          .mapping_type = MappingType::Asymmetric}));
}

// Random values; weights of linears and the embedding int4 in groups of 32.
void fill(torch::nn::Module& module, Weights weights, Format format) {
  torch::manual_seed(11);
  for (const Parameter& parameter : parameters_of(module)) {
    const auto sizes = parameter.tensor.sizes();
    at::Tensor value = torch::randn(sizes) * (sizes.size() == 2 ? 0.15 : 0.1);
    if (sizes.size() == 1) {
      value = value + 1;
    } else {
      value = quantized(value, format);
    }
    if (weights == Weights::Double) {
      value = mantissa::dequantize(value).to(at::kDouble);
    }
    for (const ParameterPlace& place : parameter.places) place.put(value);
  }
  if (weights == Weights::Packed) {
    for (const PackedWeight& report :
         pack_lowbit_(module, Int8Compute::Float)) {
      EXPECT_EQ(report.refusal, "") << report.name;
    }
  }
}

at::Tensor hidden(Weights weights, Format format, const at::Tensor& ids) {
  const auto dtype = weights == Weights::Double ? at::kDouble : at::kFloat;
  DecoderStack stack(tests::small_decoder(), dtype);
  fill(stack, weights, format);
  return stack.forward(ids, nullptr, 0).to(at::kDouble);
}

// What rounding does to a model is what it does to the decoded weights' one, of
// which fp64 says how much; only the order of sums differs.
TEST(FloatProductsTest, AModelRoundsAsItDoesWithDecodedWeights) {
  const c10::InferenceMode inference;
  const at::Tensor ids = torch::randint(0, 50, {2, 33});
  for (const Format format : {Format::Intx, Format::TilePacked}) {
    const at::Tensor truth = hidden(Weights::Double, format, ids);
    const auto error = [&](Weights weights) {
      return (hidden(weights, format, ids) - truth).abs().max().item<double>();
    };
    const double decoded = error(Weights::Decoded);
    const double packed = error(Weights::Packed);
    EXPECT_GT(decoded, 0);
    EXPECT_LT(decoded, 1e-4);
    EXPECT_GT(packed, 0);
    EXPECT_LT(packed, 4 * decoded);
  }
}

}  // namespace
}  // namespace mantissa
