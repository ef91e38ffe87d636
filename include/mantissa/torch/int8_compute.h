#pragma once

namespace mantissa {

/// How activations become int8 for products with low-bit weights on the CPU.
enum class Int8Compute {
  None,     ///< they do not: weights are decoded
  Token,    ///< asymmetric, a scale each row: torchao's int8_asym_per_token
  Group32,  ///< symmetric, a scale each 32 values
  Group64,  ///< symmetric, a scale each 64 values
};

}  // namespace mantissa
