#include <mantissa/primitives/float8.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "primitives/row_grid.h"

namespace mantissa {
namespace {

constexpr float kSmallestScale = 0x1p-126f;  // smallest normal float32

float float8_max(DType dtype) {
  float max = 0.0f;
  if (!dispatch_float8(dtype, [&]<class Format>() {
        constexpr std::uint8_t kMaxCode = Format::kMaxCode;
        max = Format::decode(kMaxCode);
      })) {
    throw Error(ErrorKind::Usage,
                "float8: float8_dtype: expected float8_e4m3fn, float8_e5m2 or "
                "their fnuz forms, got " +
                    std::string(name(dtype)));
  }
  return max;
}

void check_high_precision(const char* owner, const char* what, DType dtype) {
  if (dtype == DType::Float32 || dtype == DType::BFloat16 ||
      dtype == DType::Float16) {
    return;
  }
  throw Error(ErrorKind::Usage,
              std::string(owner) + ": " + what +
                  ": expected float32, bfloat16 or float16, got " +
                  std::string(name(dtype)));
}

void check_scale(const char* owner, ConstTensorView scale) {
  if (scale.dtype == DType::Float32) return;
  throw Error(ErrorKind::Usage,
              std::string(owner) + ": scale: expected float32, got " +
                  std::string(name(scale.dtype)));
}

float load_float(DType dtype, const std::byte* x, std::int64_t i) {
  if (dtype == DType::Float32) return reinterpret_cast<const float*>(x)[i];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(x)[i];
  return dtype == DType::BFloat16 ? bfloat16_to_float(bits)
                                  : float16_to_float(bits);
}

void store_float(DType dtype, std::byte* x, std::int64_t i, float value) {
  if (dtype == DType::Float32) {
    reinterpret_cast<float*>(x)[i] = value;
  } else {
    reinterpret_cast<std::uint16_t*>(x)[i] = dtype == DType::BFloat16
                                                 ? float_to_bfloat16(value)
                                                 : float_to_float16(value);
  }
}

// Calls visit(first, last, block) for every run of elements [first, last).
template <class Visit>
void for_each_run(const RowGrid& grid, const Visit& visit) {
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    const std::int64_t blocks = grid.grid_row(row) * grid.runs;
    for (std::int64_t r = 0; r < grid.runs; ++r) {
      const std::int64_t first = row * grid.columns + r * grid.run;
      visit(first, first + grid.run, blocks + r);
    }
  }
}

}  // namespace

float float8_scale(float amax, DType dtype, const Float8ScaleOptions& options) {
  // NaN passes all comparisons and stays.
  if (options.hp_value_lb) {
    const float lb = round_to(dtype, static_cast<float>(*options.hp_value_lb));
    if (amax < lb) amax = lb;
  }
  if (options.hp_value_ub) {
    const float ub = round_to(dtype, static_cast<float>(*options.hp_value_ub));
    if (amax > ub) amax = ub;
  }
  float scale = round_to(dtype, amax / float8_max(options.float8_dtype));
  if (options.scale_dtype == DType::Float8E8M0FNU) {
    const auto exponent = static_cast<float>(std::log2(double{scale}));
    scale =
        round_to(dtype, std::exp2(round_half_even(round_to(dtype, exponent))));
  }
  return scale == 0.0f ? kSmallestScale : scale;
}

HostTensor choose_scale_float8(ConstTensorView x,
                               const Shape& block_size,
                               const Float8ScaleOptions& options) {
  constexpr const char* kOwner = "choose_scale_float8";
  check_high_precision(kOwner, "x", x.dtype);
  if (options.scale_dtype != DType::Float32 &&
      options.scale_dtype != DType::Float8E8M0FNU) {
    throw Error(ErrorKind::Usage,
                std::string(kOwner) + ": scale_dtype: expected float32 or " +
                    "float8_e8m0fnu, got " +
                    std::string(name(options.scale_dtype)));
  }
  const RowGrid grid = make_row_grid(kOwner, x.shape, block_size);
  HostTensor scale(DType::Float32, grid.grid);
  float* amax = scale.as<float>();
  for_each_run(grid, [&](std::int64_t i, std::int64_t last, std::int64_t at) {
    for (; i < last; ++i) {
      const float magnitude = std::fabs(load_float(x.dtype, x.data, i));
      if (magnitude > amax[at] || std::isnan(magnitude)) amax[at] = magnitude;
    }
  });
  for (std::int64_t i = 0; i < scale.numel(); ++i) {
    amax[i] = float8_scale(amax[i], x.dtype, options);
  }
  return scale;
}

HostTensor quantize_affine_float8(ConstTensorView x,
                                  ConstTensorView scale,
                                  DType float8_dtype) {
  constexpr const char* kOwner = "quantize_affine_float8";
  check_high_precision(kOwner, "x", x.dtype);
  check_scale(kOwner, scale);
  float8_max(float8_dtype);
  const RowGrid grid = row_grid_of_scale(kOwner, x.shape, scale.shape);
  HostTensor out(float8_dtype, x.shape);
  auto* codes = out.as<std::uint8_t>();
  const float* scales = scale.as<float>();
  dispatch_float8(float8_dtype, [&]<class Format>() {
    for_each_run(grid, [&](std::int64_t i, std::int64_t last, std::int64_t at) {
      for (; i < last; ++i) {
        codes[i] = quantize_float8_element<Format>(
            load_float(x.dtype, x.data, i), scales[at]);
      }
    });
  });
  return out;
}

HostTensor dequantize_affine_float8(ConstTensorView q,
                                    ConstTensorView scale,
                                    DType output_dtype) {
  constexpr const char* kOwner = "dequantize_affine_float8";
  check_high_precision(kOwner, "output_dtype", output_dtype);
  check_scale(kOwner, scale);
  float8_max(q.dtype);
  const RowGrid grid = row_grid_of_scale(kOwner, q.shape, scale.shape);
  HostTensor out(output_dtype, q.shape);
  const auto* codes = q.as<std::uint8_t>();
  const float* scales = scale.as<float>();
  dispatch_float8(q.dtype, [&]<class Format>() {
    std::array<float, 256> values;
    for (std::size_t code = 0; code < values.size(); ++code) {
      values[code] = Format::decode(static_cast<std::uint8_t>(code));
    }
    for_each_run(grid, [&](std::int64_t i, std::int64_t last, std::int64_t at) {
      for (; i < last; ++i) {
        store_float(output_dtype, out.data(), i, values[codes[i]] * scales[at]);
      }
    });
  });
  return out;
}

}  // namespace mantissa
