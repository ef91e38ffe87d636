#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/nf4_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

namespace mantissa::tests {

inline std::shared_ptr<const Encoding> int8_encoding(const Shape& shape,
                                                     DType dtype) {
  return make_int8_encoding(shape, dtype, {});
}

/// A random weight and its int8 form.
struct Int8Weight {
  explicit Int8Weight(const Shape& shape, c10::ScalarType dtype = c10::kFloat)
      : plain(torch::randn(shape).to(dtype)),
        quantized(to_quantized_tensor(
            plain,
            int8_encoding(
                shape,
                dtype == c10::kBFloat16 ? DType::BFloat16 : DType::Float32))),
        values(mantissa::dequantize(quantized)) {}

  at::Tensor plain;
  at::Tensor quantized;
  at::Tensor values;  ///< dequantized
};

}  // namespace mantissa::tests
