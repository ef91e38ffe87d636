#include "torch/ops/fake_quantize_rows.h"

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <torch/library.h>

#include <mantissa/primitives/affine.h>

#include "kernels/dequantize_affine.h"
#include "torch/ops/checks.h"
#include "torch/ops/quantize_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr const char* kFakeQuantizeRows = "fake_quantize_rows_int8";

Tensor on_cpu(const Tensor& x) {
  const DType dtype = dtype_of(x.scalar_type());
  const Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  RowCodes codes(rows.size(0), rows.size(1));
  const RowRule rule = int8_asym_per_token(dtype);
  choose_row_params(rows, rule, codes);
  quantize_rows(rows, rule.range, dtype, codes);
  const std::vector<float> zero_points(codes.zero_point.begin(),
                                       codes.zero_point.end());
  Tensor out = at::empty(x.sizes(), x.options());
  kernels::dequantize_affine(dtype,
                             {codes.codes.get(),
                              rows.size(0),
                              rows.size(1),
                              codes.scale.data(),
                              zero_points.data(),
                              out.mutable_data_ptr()});
  return out;
}

}  // namespace

Tensor fake_quantize_rows_int8(const Tensor& x) {
  check_dtype(kFakeQuantizeRows, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(x.dim() >= 1, kFakeQuantizeRows, ": x: expected [.., K], got a scalar");
  if (x.is_meta()) return at::empty_like(x);
  if (x.numel() == 0) return x;
  return x.is_cpu() ? on_cpu(x) : fake_quantize_rows_int8_by_aten(x);
}

Tensor fake_quantize_rows_int8_by_aten(const Tensor& x) {
  const double eps = smallest_normal(dtype_of(x.scalar_type()));
  const Tensor low = at::amin(x, {-1}, true).clamp_max(0);
  const Tensor high = at::amax(x, {-1}, true).clamp_min(0);
  const Tensor scale = ((high - low) / 255.0).clamp_min(eps);
  const Tensor zero =
      (-128.0 - (low / scale).round()).clamp(-128, 127).to(at::kChar);
  const Tensor codes =
      ((x * scale.reciprocal()).round() + zero).clamp(-128, 127).to(at::kChar);
  return (codes.to(x.scalar_type()) - zero.to(x.scalar_type())) * scale;
}

void define_fake_quantize_rows(torch::Library& library) {
  library.def("fake_quantize_rows_int8(Tensor x) -> Tensor");
  for (const c10::DispatchKey key : {c10::DispatchKey::CPU,
                                     c10::DispatchKey::CUDA,
                                     c10::DispatchKey::Meta}) {
    library.impl("fake_quantize_rows_int8",
                 torch::dispatch(key, TORCH_FN(fake_quantize_rows_int8)));
  }
}

}  // namespace mantissa
