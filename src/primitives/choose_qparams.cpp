#include <mantissa/primitives/choose_qparams.h>

#include <cmath>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "primitives/argument_checks.h"
#include "primitives/block_grid.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

constexpr const char* kOp = "choose_qparams_affine";

// The arguments once they are known to fit.
struct Formula {
  MappingType mapping;
  IntegerRange range;
  float eps;
  DType dtype;
  DType scale_dtype;
  DType zero_point_dtype;
};

DType checked_zero_point_dtype(DType dtype) {
  switch (dtype) {
    case DType::Float32:
    case DType::BFloat16:
    case DType::Float16:
    case DType::Int8:
    case DType::UInt8:
    case DType::Int16:
    case DType::Int32:
      return dtype;
    default:
      throw Error(ErrorKind::Usage,
                  fmt::format("{}: zero_point_dtype: expected float32, "
                              "bfloat16, float16, int8, uint8, int16 or int32, "
                              "got {}",
                              kOp,
                              name(dtype)));
  }
}

Formula make_formula(DType input,
                     MappingType mapping,
                     DType target,
                     const ChooseQParamsOptions& options) {
  check_float_dtype(kOp, "input", input);
  const IntegerRange range =
      quant_range(kOp, target, options.quant_min, options.quant_max);
  if (mapping == MappingType::SymmetricNoClippingErr &&
      (range.min >= 0 || range.max <= 0)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: SYMMETRIC_NO_CLIPPING_ERR: expected quant_min "
                            "< 0 < quant_max, got {} and {}",
                            kOp,
                            range.min,
                            range.max));
  }
  const DType scale_dtype = options.scale_dtype.value_or(input);
  check_float_dtype(kOp, "scale_dtype", scale_dtype);
  const DType none = mapping == MappingType::Asymmetric ? DType::Int32 : input;
  return {
      mapping,
      range,
      options.eps ? static_cast<float>(*options.eps) : smallest_normal(input),
      input,
      scale_dtype,
      checked_zero_point_dtype(options.zero_point_dtype.value_or(none))};
}

void check_finite(const ConstTensorView& input, const char* argument) {
  for (std::int64_t i = 0; i < input.numel(); ++i) {
    const double value = load_element(input, i);
    if (std::isfinite(value)) continue;
    throw Error(ErrorKind::Input,
                fmt::format("{}: {}: element {} is {}; only finite values have "
                            "a scale",
                            kOp,
                            argument,
                            i,
                            value));
  }
}

void check_holds(DType dtype, float zero_point) {
  if (is_floating_point(dtype)) return;
  const IntegerRange bounds = integer_range(dtype);
  if (zero_point >= static_cast<float>(bounds.min) &&
      zero_point <= static_cast<float>(bounds.max)) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: zero_point_dtype: {} does not hold {}",
                          kOp,
                          name(dtype),
                          zero_point));
}

// One scale and zero point per pair of extremes.
QParams apply(const Formula& f,
              const std::vector<float>& min,
              const std::vector<float>& max,
              const Shape& shape) {
  QParams out{HostTensor(f.scale_dtype, shape),
              HostTensor(f.zero_point_dtype, shape)};
  for (std::size_t i = 0; i < min.size(); ++i) {
    const AffineQParams q =
        affine_qparams(min[i], max[i], f.mapping, f.range, f.eps, f.dtype);
    check_holds(f.zero_point_dtype, q.zero_point);
    const auto at = static_cast<std::int64_t>(i);
    store_element(out.scale, at, round_to(f.scale_dtype, q.scale));
    store_element(
        out.zero_point, at, round_to(f.zero_point_dtype, q.zero_point));
  }
  return out;
}

}  // namespace

QParams choose_qparams_affine(ConstTensorView input,
                              MappingType mapping_type,
                              const Shape& block_size,
                              DType target_dtype,
                              const ChooseQParamsOptions& options) {
  const Formula formula =
      make_formula(input.dtype, mapping_type, target_dtype, options);
  const BlockGrid grid(kOp, input.shape, block_size);
  check_finite(input, "input");
  // Zero belongs to every range, so it is a harmless start.
  std::vector<float> min(static_cast<std::size_t>(grid.blocks()), 0.0f);
  std::vector<float> max = min;
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const auto value = static_cast<float>(load_element(input, i));
    const auto block = static_cast<std::size_t>(grid.block_of(i));
    if (value < min[block]) min[block] = value;
    if (value > max[block]) max[block] = value;
  }
  const bool keep = options.keep_dims == KeepDims::Yes;
  return apply(formula, min, max, keep ? grid.grid() : grid.squeezed());
}

QParams choose_qparams_affine_with_min_max(
    ConstTensorView min_val,
    ConstTensorView max_val,
    MappingType mapping_type,
    DType target_dtype,
    const ChooseQParamsOptions& options) {
  const Formula formula =
      make_formula(min_val.dtype, mapping_type, target_dtype, options);
  if (min_val.dtype != max_val.dtype || min_val.shape != max_val.shape) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: max_val: expected {} {} (as min_val), got {} "
                            "{}",
                            kOp,
                            to_string(min_val.shape),
                            name(min_val.dtype),
                            to_string(max_val.shape),
                            name(max_val.dtype)));
  }
  check_finite(min_val, "min_val");
  check_finite(max_val, "max_val");
  std::vector<float> min;
  std::vector<float> max;
  for (std::int64_t i = 0; i < min_val.numel(); ++i) {
    min.push_back(static_cast<float>(load_element(min_val, i)));
    max.push_back(static_cast<float>(load_element(max_val, i)));
  }
  return apply(formula, min, max, min_val.shape);
}

}  // namespace mantissa
