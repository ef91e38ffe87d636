#pragma once

#include <cmath>
#include <random>

#include <mantissa/core/tensor_view.h>
#include <mantissa/primitives/convert.h>

namespace mantissa::support {

/// A weight with every kind of row: ordinary, zero, constant, one outlier,
/// float16 subnormals, ties, one sign only. Values fit float16.
inline HostTensor awkward_weight(DType dtype, Shape shape, unsigned seed = 1) {
  HostTensor wide(DType::Float32, shape);
  const std::int64_t columns = shape.back();
  const std::int64_t rows = columns == 0 ? 0 : wide.numel() / columns;
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, 0.03f);
  for (std::int64_t r = 0; r < rows; ++r) {
    float* x = wide.as<float>() + r * columns;
    for (std::int64_t i = 0; i < columns; ++i) {
      const float value = normal(engine);
      switch (r % 8) {
        case 1:
          x[i] = 0.0f;
          break;
        case 2:
          x[i] = -1.3f;
          break;
        case 3:
          x[i] = i == columns / 3 ? 40.0f : value;
          break;
        case 4:
          x[i] = 6e-8f * static_cast<float>(i % 11);
          break;
        case 5:
          x[i] = static_cast<float>(i % 31) * 0.5f;
          break;
        case 6:
          x[i] = std::abs(value) + 0.25f;
          break;
        default:
          x[i] = value;
      }
    }
  }
  return converted(wide.view(), dtype);
}

}  // namespace mantissa::support
