#pragma once

#include <ATen/core/Tensor.h>

#include <mantissa/torch/decoder.h>

namespace mantissa {

class DecoderStack;

/// One token of one sequence through all layers, five parallel regions a layer
/// and nothing copied: norm, quantization and q, k, v; RoPE and attention; o;
/// norm, quantization, gate and up; down (project, after kernels_and_qat A13).
/// Final hidden states [1, 1, hidden]; keys and values are put behind the
/// `past` positions of the cache. Undefined, with nothing done, unless
/// ids are one token, the cache is float32 on the CPU and the linears of all
/// layers are packed (pack_lowbit_()) for activations in groups; experts and
/// Gemma's four norms take the modules' way too.
at::Tensor decode_step(const DecoderConfig& config,
                       const DecoderStack& stack,
                       const at::Tensor& ids,
                       const KvCache* cache,
                       std::int64_t past);

}  // namespace mantissa
