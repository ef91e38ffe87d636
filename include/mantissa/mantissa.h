#pragma once

/// Everything public, the torch half included.

#include <mantissa/configs.h>
#include <mantissa/core.h>
#include <mantissa/torch/checkpoint.h>
#include <mantissa/torch/fake_quantize.h>
#include <mantissa/torch/quantize.h>
#include <mantissa/torch/quantized_tensor.h>
