#include <mantissa/primitives/dequantize.h>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "primitives/argument_checks.h"
#include "primitives/block_grid.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

constexpr const char* kOp = "dequantize_affine";

void check_codes(DType dtype) {
  if (dtype == DType::Int8 || dtype == DType::UInt8 || dtype == DType::Int16 ||
      dtype == DType::Int32) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: input: expected int8, uint8, int16 or int32, "
                          "got {}",
                          kOp,
                          name(dtype)));
}

}  // namespace

HostTensor dequantize_affine(ConstTensorView input,
                             const Shape& block_size,
                             const QParamsView& qparams,
                             DType output_dtype) {
  const ConstTensorView& scale = qparams.scale;
  check_codes(input.dtype);
  check_float_dtype(kOp, "scale", scale.dtype);
  check_float_dtype(kOp, "output_dtype", output_dtype);
  const BlockGrid grid(kOp, input.shape, block_size);
  check_block_count(kOp, "scale", scale, grid.blocks());
  if (qparams.zero_point) {
    check_block_count(kOp, "zero_point", *qparams.zero_point, grid.blocks());
  }
  const DType product = promote(output_dtype, scale.dtype);
  HostTensor out(output_dtype, input.shape);
  for (std::int64_t i = 0; i < grid.elements(); ++i) {
    const std::int64_t block = grid.block_of(i);
    const double zero =
        qparams.zero_point ? load_element(*qparams.zero_point, block) : 0.0;
    store_element(out,
                  i,
                  dequantize_affine_element(
                      static_cast<float>(load_element(input, i)),
                      static_cast<float>(zero),
                      static_cast<float>(load_element(scale, block)),
                      product,
                      output_dtype));
  }
  return out;
}

}  // namespace mantissa
