#pragma once

#include <cstdint>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/float_casts.h>

namespace mantissa {

/// Element `i` of a tensor of float32, bfloat16, float16 or an integer of at
/// most 32 bits as double: exact.
inline double load_element(const ConstTensorView& t, std::int64_t i) {
  switch (t.dtype) {
    case DType::Float32:
      return t.as<float>()[i];
    case DType::BFloat16:
      return bfloat16_to_float(t.as<std::uint16_t>()[i]);
    case DType::Float16:
      return float16_to_float(t.as<std::uint16_t>()[i]);
    case DType::Int8:
      return t.as<std::int8_t>()[i];
    case DType::UInt8:
      return t.as<std::uint8_t>()[i];
    case DType::Int16:
      return t.as<std::int16_t>()[i];
    default:
      return t.as<std::int32_t>()[i];
  }
}

/// Stores a value that the dtype holds exactly.
inline void store_element(const HostTensor& t, std::int64_t i, double value) {
  const auto real = static_cast<float>(value);
  switch (t.dtype()) {
    case DType::Float32:
      t.as<float>()[i] = real;
      return;
    case DType::BFloat16:
      t.as<std::uint16_t>()[i] = float_to_bfloat16(real);
      return;
    case DType::Float16:
      t.as<std::uint16_t>()[i] = float_to_float16(real);
      return;
    case DType::Int8:
      t.as<std::int8_t>()[i] = static_cast<std::int8_t>(value);
      return;
    case DType::UInt8:
      t.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
      return;
    case DType::Int16:
      t.as<std::int16_t>()[i] = static_cast<std::int16_t>(value);
      return;
    default:
      t.as<std::int32_t>()[i] = static_cast<std::int32_t>(value);
  }
}

}  // namespace mantissa
