#pragma once

/// Everything public, the torch half included.

#include <mantissa/configs.h>
#include <mantissa/core.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/decoder.h>
#include <mantissa/torch/decoder_config.h>
#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/generation.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/model_loading.h>
#include <mantissa/torch/perplexity.h>
#include <mantissa/torch/qscaled_dot_product.h>
#include <mantissa/torch/quantize.h>
#include <mantissa/torch/quantized_tensor.h>
#include <mantissa/torch/sampling.h>
#include <mantissa/torch/sentence_encoder.h>
