#include <mantissa/primitives/quantize.h>

#include <mantissa/primitives/affine.h>

#include "primitives/argument_checks.h"
#include "primitives/block_grid.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

constexpr const char* kOp = "quantize_affine";

// torch's dtype of a sum of a float tensor and the zero point.
DType sum_dtype(DType product, const std::optional<ConstTensorView>& zero) {
  if (!zero || !is_floating_point(zero->dtype)) return product;
  return promote(product, zero->dtype);
}

}  // namespace

HostTensor quantize_affine(ConstTensorView input,
                           const Shape& block_size,
                           const QParamsView& qparams,
                           DType output_dtype,
                           const QuantRange& range) {
  const ConstTensorView& scale = qparams.scale;
  check_float_dtype(kOp, "input", input.dtype);
  check_float_dtype(kOp, "scale", scale.dtype);
  const IntegerRange bounds =
      quant_range(kOp, output_dtype, range.quant_min, range.quant_max);
  const BlockGrid grid(kOp, input.shape, block_size);
  check_block_count(kOp, "scale", scale, grid.blocks());
  if (qparams.zero_point) {
    check_block_count(kOp, "zero_point", *qparams.zero_point, grid.blocks());
  }
  const DType product = promote(input.dtype, scale.dtype);
  const DType sum = sum_dtype(product, qparams.zero_point);
  HostTensor out(code_dtype(output_dtype), input.shape);
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const std::int64_t block = grid.block_of(i);
    const float reciprocal = affine_reciprocal(
        static_cast<float>(load_element(scale, block)), scale.dtype);
    const double zero =
        qparams.zero_point ? load_element(*qparams.zero_point, block) : 0.0;
    store_element(
        out,
        i,
        quantize_affine_element(static_cast<float>(load_element(input, i)),
                                reciprocal,
                                round_to(sum, static_cast<float>(zero)),
                                bounds,
                                product,
                                sum));
  }
  return out;
}

}  // namespace mantissa
