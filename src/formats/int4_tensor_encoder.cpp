#include "formats/int4_tensor_encoder.h"

#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "formats/affine_encoder.h"
#include "kernels/quantize_int4.h"

namespace mantissa {
namespace {

using kernels::Int4Rule;
using kernels::QuantizeInt4Problem;

// An element of a field in one of the three weight dtypes.
void store(DType dtype, std::byte* field, std::int64_t index, float value) {
  if (dtype == DType::Float32) {
    reinterpret_cast<float*>(field)[index] = value;
  } else {
    reinterpret_cast<std::uint16_t*>(field)[index] =
        dtype == DType::BFloat16 ? float_to_bfloat16(value)
                                 : float_to_float16(value);
  }
}

class Int4Encoder final : public Encoder {
 public:
  Int4Encoder(const Shape& shape, DType dtype, const Int4Spec& spec)
      : dtype_(dtype),
        full_shape_(shape),
        shape_(matrix_shape(shape)),
        groups_(shape_.columns / spec.group_size),
        problem_{dtype,
                 spec.group_size,
                 spec.activation_dtype == DType::BFloat16
                     ? Int4Rule::Asymmetric
                     : Int4Rule::Symmetric} {}

  void encode(const RowBlock& block,
              ConstTensorView rows,
              FieldSink& sink) const override;

 private:
  // A block of scale or zero_point, [groups, rows], into its columns of the
  // field [groups, N] of one matrix.
  void write_columns(Int4Field field,
                     const RowBlock& block,
                     const HostTensor& values,
                     FieldSink& sink) const;

  DType dtype_;
  Shape full_shape_;
  MatrixShape shape_;
  std::int64_t groups_;
  QuantizeInt4Problem problem_;
};

void Int4Encoder::encode(const RowBlock& block,
                         ConstTensorView rows,
                         FieldSink& sink) const {
  refuse_nonfinite("Int4Tensor", full_shape_, block, rows);
  const std::int64_t k = shape_.columns;
  const auto& kernel = kernels::select_quantize_int4(problem_);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(k));
  std::vector<float> scale(static_cast<std::size_t>(groups_));
  std::vector<float> zero(static_cast<std::size_t>(groups_));
  HostTensor qdata(DType::Int8, {block.rows, k / 2});
  HostTensor scales(dtype_, {groups_, block.rows});
  HostTensor zeros(dtype_, {groups_, block.rows});
  const std::int64_t row_bytes = k * bit_width(dtype_) / 8;
  for (std::int64_t r = 0; r < block.rows; ++r) {
    kernel.run(problem_,
               {rows.data + r * row_bytes,
                groups_,
                codes.data(),
                scale.data(),
                zero.data()});
    kernels::pack_nibbles<kInt4Order>(codes.data(),
                                      k,
                                      kernels::kOffsetBinary,
                                      qdata.as<std::uint8_t>() + r * (k / 2));
    for (std::int64_t g = 0; g < groups_; ++g) {
      const std::int64_t at = g * block.rows + r;
      store(dtype_, scales.data(), at, scale[static_cast<std::size_t>(g)]);
      store(dtype_, zeros.data(), at, zero[static_cast<std::size_t>(g)]);
    }
  }
  sink.write(kInt4Qdata,
             (block.matrix * shape_.rows + block.row) * (k / 2),
             qdata.view().bytes());
  write_columns(kInt4Scale, block, scales, sink);
  write_columns(kInt4ZeroPoint, block, zeros, sink);
}

void Int4Encoder::write_columns(Int4Field field,
                                const RowBlock& block,
                                const HostTensor& values,
                                FieldSink& sink) const {
  if (values.nbytes() == 0) return;
  const std::int64_t element = bit_width(dtype_) / 8;
  const std::int64_t offset =
      (block.matrix * groups_ * shape_.rows + block.row) * element;
  if (block.rows == shape_.rows) {
    sink.write(field, offset, values.view().bytes());
    return;
  }
  sink.write_runs(field,
                  offset,
                  block.rows * element,
                  shape_.rows * element,
                  values.view().bytes());
}

}  // namespace

std::unique_ptr<Encoder> make_int4_encoder(const Shape& shape,
                                           DType dtype,
                                           const Int4Spec& spec) {
  return std::make_unique<Int4Encoder>(shape, dtype, spec);
}

}  // namespace mantissa
