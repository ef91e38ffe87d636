#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include <mantissa/core/api.h>
#include <mantissa/torch/int8_compute.h>

namespace mantissa {

/// What pack_lowbit_() did with one quantized weight.
struct PackedWeight {
  std::string name;        ///< "model.layers.0.mlp.up_proj.weight"
  std::string refusal;     ///< "" where it is packed, else why not
  std::int64_t bytes = 0;  ///< of the runtime layout
};

/// Puts the quantized weights of a module, on the CPU, into the runtime layout
/// of this machine's low-bit kernels (b bits a code) in place of their stored
/// fields: `linear` then multiplies codes, with activations quantized to int8
/// or in float32 as `compute` says (bfloat16 activations, where AVX-512 BF16
/// is, as they are); float8 codes multiply floats whatever it says. Gradients
/// reach the input through the decoded weight. The stored fields come back bit
/// for bit wherever they are asked for (fields_of(), to(device), slices,
/// save_checkpoint()). Weights of formats without integer or float8 codes,
/// float zero points but those of Int4Tensor, float8 activations, an
/// act_pre_scale of an Int4Tensor, groups that are no power of two from 32 on,
/// or experts whose rows are no multiple of 16 stay as they are, with the
/// reason in the result; so do, with Int8Compute::Float, intx weights whose
/// config names int8 activations. load_checkpoint() into a packed module leaves
/// it unpacked. Int8Compute::None changes nothing.
MANTISSA_API std::vector<PackedWeight> pack_lowbit_(torch::nn::Module& module,
                                                    Int8Compute compute);

}  // namespace mantissa
