#pragma once

namespace mantissa {

/// How activations enter products with low-bit weights on the CPU.
enum class Int8Compute {
  None,   ///< as they are: weights are decoded
  Token,  ///< int8, asymmetric, a scale each row: torchao's int8_asym_per_token
  Group32,  ///< int8, symmetric, a scale each 32 values
  Group64,  ///< int8, symmetric, a scale each 64 values
  Float,    ///< as float32, with codes that become float32 in registers
};

}  // namespace mantissa
