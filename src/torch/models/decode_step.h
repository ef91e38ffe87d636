#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include <mantissa/torch/decoder.h>

namespace mantissa {

class DecoderStack;
class StepMemory;

/// One token of one sequence through all layers, five parallel regions a layer
/// and nothing copied: q, k, v; attention; o; gate and up; down; norms,
/// quantization and RoPE between them (project, after kernels_and_qat A13).
/// Packed linears (pack_lowbit_()) of every kind run in the regions, on int8
/// codes or floats, to the bit as linear_lowbit() gives it for the same x; a
/// linear that is not packed and experts run as modules between them. Final
/// hidden states [1, 1, hidden]; keys and values are put behind the `past`
/// positions of the cache.
///
/// Where activations are bfloat16 or float16 the residual, norms, RoPE,
/// attention and gates are float32, and so are the results of packed products.
/// Rounded to that dtype, half to even, are: what a product, a module or the
/// experts take, what the latter two give, and the final hidden states. (The
/// modules round each of their results.)
///
/// Undefined, with nothing done, unless ids are one token, nothing is
/// differentiable, norms are plain floats and they and the cache (float32,
/// bfloat16 or int8) are on the CPU.
/// `memory`, null at first, is of this cache: buffers and the parts of the
/// model, which are taken apart anew where its weights are others.
at::Tensor decode_step(const DecoderConfig& config,
                       const DecoderStack& stack,
                       const at::Tensor& ids,
                       const KvCache* cache,
                       std::int64_t past,
                       std::shared_ptr<StepMemory>& memory);

}  // namespace mantissa
