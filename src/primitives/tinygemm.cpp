#include <mantissa/primitives/tinygemm.h>

#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/convert.h>

#include "primitives/argument_checks.h"
#include "primitives/block_grid.h"
#include "primitives/elements.h"
#include "primitives/int4_groupwise.h"

namespace mantissa {
namespace {

constexpr const char* kChoose = "choose_qparams_affine_tinygemm";
constexpr const char* kQuantize = "quantize_affine_tinygemm";
constexpr const char* kDequantize = "dequantize_affine_tinygemm";

TinygemmRange tinygemm_range(IntegerRange range) {
  return {
      static_cast<float>(range.max - range.min),
      static_cast<float>(static_cast<double>(range.max + range.min + 1) / 2.0)};
}

// The zero point is a float here, so an integer one is a mistake.
void check_qparams(const char* op,
                   const QParamsView& qparams,
                   const BlockGrid& grid) {
  check_float_dtype(op, "scale", qparams.scale.dtype);
  check_block_count(op, "scale", qparams.scale, grid.blocks());
  if (!qparams.zero_point) return;
  check_float_dtype(op, "zero_point", qparams.zero_point->dtype);
  check_block_count(op, "zero_point", *qparams.zero_point, grid.blocks());
}

}  // namespace

QParams choose_qparams_affine_tinygemm(ConstTensorView input,
                                       const Shape& block_size,
                                       DType target_dtype,
                                       const TinygemmOptions& options) {
  check_float_dtype(kChoose, "input", input.dtype);
  const DType scale_dtype = options.scale_dtype.value_or(input.dtype);
  const DType zero_dtype = options.zero_point_dtype.value_or(input.dtype);
  check_float_dtype(kChoose, "scale_dtype", scale_dtype);
  check_float_dtype(kChoose, "zero_point_dtype", zero_dtype);
  const TinygemmRange range = tinygemm_range(quant_range(
      kChoose, target_dtype, options.range.quant_min, options.range.quant_max));
  const BlockGrid grid(kChoose, input.shape, block_size);
  if (const auto index = find_nonfinite(input)) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: input: element {} is NaN or infinite; only "
                            "finite values have a scale",
                            kChoose,
                            *index));
  }
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> min(static_cast<std::size_t>(grid.blocks()), infinity);
  std::vector<float> max(min.size(), -infinity);
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const auto value = static_cast<float>(load_element(input, i));
    const auto block = static_cast<std::size_t>(grid.block_of(i));
    min[block] = value < min[block] ? value : min[block];
    max[block] = value > max[block] ? value : max[block];
  }
  const float eps =
      options.eps ? round_to(input.dtype, static_cast<float>(*options.eps))
                  : smallest_normal(input.dtype);
  QParams out{HostTensor(scale_dtype, grid.squeezed()),
              HostTensor(zero_dtype, grid.squeezed())};
  for (std::size_t i = 0; i < min.size(); ++i) {
    const Int4Group group =
        tinygemm_group(min[i], max[i], eps, range, [&](float x) {
          return round_to(input.dtype, x);
        });
    const auto at = static_cast<std::int64_t>(i);
    store_element(out.scale, at, group.scale);
    store_element(out.zero_point, at, group.zero);
  }
  return out;
}

HostTensor quantize_affine_tinygemm(ConstTensorView input,
                                    const Shape& block_size,
                                    const QParamsView& qparams,
                                    DType output_dtype,
                                    const QuantRange& range) {
  check_float_dtype(kQuantize, "input", input.dtype);
  const IntegerRange bounds =
      quant_range(kQuantize, output_dtype, range.quant_min, range.quant_max);
  const BlockGrid grid(kQuantize, input.shape, block_size);
  check_qparams(kQuantize, qparams, grid);
  if (!qparams.zero_point) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: zero_point: expected one float for each of {} "
                            "blocks, got none",
                            kQuantize,
                            grid.blocks()));
  }
  const float mid = tinygemm_range(bounds).mid;
  const DType scale_dtype = qparams.scale.dtype;
  const DType offset_dtype = promote(qparams.zero_point->dtype, scale_dtype);
  const DType difference = promote(input.dtype, offset_dtype);
  const DType quotient = promote(difference, scale_dtype);
  const auto low = static_cast<float>(bounds.min);
  const auto high = static_cast<float>(bounds.max);
  HostTensor out(code_dtype(output_dtype), input.shape);
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const std::int64_t block = grid.block_of(i);
    const auto scale = static_cast<float>(load_element(qparams.scale, block));
    const auto zero =
        static_cast<float>(load_element(*qparams.zero_point, block));
    const float offset =
        round_to(offset_dtype, zero - round_to(scale_dtype, scale * mid));
    const auto x = static_cast<float>(load_element(input, i));
    const float steps = round_half_even(
        round_to(quotient, round_to(difference, x - offset) / scale));
    // NaN (0 / 0) becomes 0, as torch's cast makes it.
    const double code = std::isnan(steps) ? 0.0
                        : steps < low     ? low
                        : steps > high    ? high
                                          : steps;
    store_element(out, i, code);
  }
  return out;
}

HostTensor dequantize_affine_tinygemm(ConstTensorView input,
                                      const Shape& block_size,
                                      const QParamsView& qparams,
                                      DType input_dtype,
                                      const QuantRange& range,
                                      DType output_dtype) {
  check_float_dtype(kDequantize, "output_dtype", output_dtype);
  const IntegerRange bounds =
      quant_range(kDequantize, input_dtype, range.quant_min, range.quant_max);
  if (input.dtype != code_dtype(input_dtype)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: input: expected {} codes, got {}",
                            kDequantize,
                            name(code_dtype(input_dtype)),
                            name(input.dtype)));
  }
  const BlockGrid grid(kDequantize, input.shape, block_size);
  check_qparams(kDequantize, qparams, grid);
  const float mid = tinygemm_range(bounds).mid;
  const DType product = promote(output_dtype, qparams.scale.dtype);
  const DType sum = qparams.zero_point
                        ? promote(output_dtype, qparams.zero_point->dtype)
                        : output_dtype;
  HostTensor out(output_dtype, input.shape);
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const std::int64_t block = grid.block_of(i);
    const auto code = static_cast<float>(load_element(input, i));
    const auto scale = static_cast<float>(load_element(qparams.scale, block));
    float value = round_to(output_dtype, code - mid);
    value = round_to(output_dtype, round_to(product, value * scale));
    if (qparams.zero_point) {
      const auto zero =
          static_cast<float>(load_element(*qparams.zero_point, block));
      value = round_to(output_dtype, round_to(sum, value + zero));
    }
    store_element(out, i, value);
  }
  return out;
}

}  // namespace mantissa
