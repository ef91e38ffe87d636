#include "torch/ops/linear_int8.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/util/accumulate.h>
#include <torch/library.h>

#include "kernels/common/element_dtype.h"
#include "kernels/linear_int8.h"
#include "kernels/quantize_affine_args.h"
#include "torch/ops/checks.h"
#include "torch/ops/quantize_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr const char* kLinearInt8 = "linear_int8";
constexpr float kEps = 0x1p-23f;  // epsilon of float32, for every dtype

// Rows of x [.., K], also where there are no columns.
std::int64_t rows_of(const Tensor& x) {
  return c10::multiply_integers(x.sizes().slice(0, x.dim() - 1));
}

IntegerRange code_range(const Int8Activation& activation) {
  return activation.reduce_range ? IntegerRange{-64, 63}
                                 : IntegerRange{-128, 127};
}

// Of what the CPU's kernels take (quantize_affine); those of a GPU, where ATen
// computes, would have to be waited for.
void check_zero_points(const Tensor& zero_point) {
  if (!zero_point.defined() || !zero_point.is_cpu()) return;
  constexpr double kMost = kernels::kMostAffineZeroPoint;
  const Tensor wide = zero_point.to(at::kDouble).contiguous();
  const double* values = wide.const_data_ptr<double>();
  for (std::int64_t i = 0; i < wide.numel(); ++i) {
    TORCH_CHECK_VALUE(
        std::abs(values[i]) <= kMost && values[i] == std::trunc(values[i]),
        kLinearInt8,
        ": act_zero_point: expected whole numbers in [",
        -kMost,
        ", ",
        kMost,
        "], got ",
        values[i]);
  }
}

}  // namespace

void check_linear_int8(const Tensor& x,
                       std::int64_t n,
                       std::int64_t k,
                       const Tensor& scale,
                       const Tensor& bias,
                       const Int8Activation& activation,
                       c10::ScalarType out_dtype) {
  check_dtype(kLinearInt8, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  check_dtype(kLinearInt8, "scale", scale, {at::kFloat});
  check_last_dim(kLinearInt8, "x", x, k, "in_features");
  for (const auto& [name, tensor] :
       {std::pair<const char*, const Tensor&>{"scale", scale},
        {"bias", bias},
        {"act_scale", activation.scale},
        {"act_zero_point", activation.zero_point}}) {
    TORCH_CHECK_VALUE(!tensor.defined() || tensor.device() == x.device(),
                      kLinearInt8,
                      ": ",
                      name,
                      ": expected the device of x, ",
                      x.device(),
                      ", got ",
                      tensor.device());
  }
  TORCH_CHECK_VALUE(scale.numel() == 1 || scale.numel() == n,
                    kLinearInt8,
                    ": scale: expected one value or ",
                    n,
                    ", got ",
                    scale.sizes());
  if (bias.defined()) check_sizes(kLinearInt8, "bias", bias, {n});
  TORCH_CHECK_TYPE(out_dtype == at::kFloat || out_dtype == at::kBFloat16 ||
                       out_dtype == at::kHalf,
                   kLinearInt8,
                   ": out_dtype: expected float32, bfloat16 or float16, got ",
                   out_dtype);
  if (!activation.scale.defined()) return;
  check_dtype(kLinearInt8, "act_scale", activation.scale, {at::kFloat});
  const std::int64_t rows = rows_of(x);
  for (const auto& [name, tensor] :
       {std::pair<const char*, const Tensor&>{"act_scale", activation.scale},
        {"act_zero_point", activation.zero_point}}) {
    TORCH_CHECK_VALUE(
        !tensor.defined() || tensor.numel() == 1 || tensor.numel() == rows,
        kLinearInt8,
        ": ",
        name,
        ": expected one value or one for each of ",
        rows,
        " rows, got ",
        tensor.sizes());
  }
  check_zero_points(activation.zero_point);
}

namespace {

// The given scales and zero points, one for each row.
void take_static_params(const Int8Activation& activation, RowCodes& out) {
  const Tensor scale = activation.scale.cpu().contiguous();
  const Tensor zero =
      activation.zero_point.defined()
          ? activation.zero_point.cpu().to(at::kInt).contiguous()
          : Tensor();
  const auto* scales = scale.const_data_ptr<float>();
  const auto* zeros =
      zero.defined() ? zero.const_data_ptr<std::int32_t>() : nullptr;
  for (std::size_t i = 0; i < out.scale.size(); ++i) {
    out.scale[i] = scales[scale.numel() == 1 ? 0 : i];
    out.zero_point[i] = zeros == nullptr ? 0 : zeros[zero.numel() == 1 ? 0 : i];
  }
}

// x [M, K] as codes in `rows`, which has its sizes.
void quantize(const Tensor& x,
              const Int8Activation& activation,
              std::span<const std::int64_t> ends,
              RowCodes& rows) {
  if (activation.scale.defined()) {
    take_static_params(activation, rows);
  } else {
    choose_row_params(x,
                      {activation.mapping,
                       code_range(activation),
                       kEps,
                       activation.per_tensor,
                       ends,
                       activation.formula},
                      rows);
  }
  if (activation.formula == RowFormula::CompressedTensors) {
    if (activation.scale.defined()) mark_nan_rows(x, rows);
    divide_rows(x, rows);
  } else {
    quantize_rows(x, code_range(activation), DType::Float32, rows);
  }
}

// Tiles from the threads of ATen's pool: the kernels own none.
void run_tiles(kernels::Element out, const kernels::LinearInt8Args& args) {
  constexpr std::int64_t kRows = 32;
  constexpr std::int64_t kColumns = 64;
  constexpr std::int64_t kGrainProducts = 1 << 18;
  if (args.m == 0 || args.n == 0) return;
  const auto& kernel =
      kernels::select_linear_int8({out, args.m, args.n, args.k});
  const std::int64_t across = (args.n + kColumns - 1) / kColumns;
  const std::int64_t down = (args.m + kRows - 1) / kRows;
  const std::int64_t products =
      std::max<std::int64_t>(1, args.k) * kColumns * std::min(kRows, args.m);
  const std::int64_t grain =
      std::max<std::int64_t>(1, kGrainProducts / products);
  at::parallel_for(
      0, across * down, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t tile = begin; tile < end; ++tile) {
          const std::int64_t i = tile / across * kRows;
          const std::int64_t j = tile % across * kColumns;
          kernel.run(out,
                     args,
                     {i,
                      std::min(i + kRows, args.m),
                      j,
                      std::min(j + kColumns, args.n)});
        }
      });
}

Tensor linear_int8_cpu(const Tensor& x,
                       const Tensor& qdata,
                       const Tensor& scale,
                       const Tensor& bias,
                       const Int8Activation& activation,
                       c10::ScalarType out_dtype) {
  const Tensor codes = qdata.contiguous();
  const Tensor w_scale = scale.contiguous();
  const Tensor b = readable_bias(bias);
  const Int8Rows rows(x, activation);
  kernels::LinearInt8Args args = rows.args(codes.size(0), w_scale, b);
  args.w = codes.const_data_ptr<std::int8_t>();
  Shape sizes = x.sizes().vec();
  sizes.back() = args.n;
  Tensor y = at::empty(sizes, x.options().dtype(out_dtype));
  args.y = y.mutable_data_ptr();
  run_tiles(kernels::to_element(dtype_of(out_dtype)), args);
  return y;
}

Tensor dispatched(const Tensor& x,
                  const Tensor& qdata,
                  const Tensor& scale,
                  const std::optional<Tensor>& bias,
                  bool per_tensor,
                  bool asymmetric,
                  bool reduce_range,
                  const std::optional<Tensor>& act_scale,
                  const std::optional<Tensor>& act_zero_point,
                  std::optional<c10::ScalarType> out_dtype) {
  return linear_int8(
      x,
      qdata,
      scale,
      bias.value_or(Tensor()),
      {per_tensor,
       asymmetric ? MappingType::Asymmetric : MappingType::Symmetric,
       reduce_range,
       act_scale.value_or(Tensor()),
       act_zero_point.value_or(Tensor())},
      out_dtype.value_or(x.scalar_type()));
}

}  // namespace

void Int8Rows::take(const Tensor& x,
                    const Int8Activation& activation,
                    std::span<const std::int64_t> ends) {
  m_ = rows_of(x);
  k_ = x.size(-1);
  codes_.resize(m_, k_);
  quantize(x.reshape({m_, k_}).contiguous(), activation, ends, codes_);
  zero_points_.clear();
  if (activation.mapping == MappingType::Asymmetric) {
    zero_points_.assign(codes_.zero_point.begin(), codes_.zero_point.end());
  }
}

kernels::LinearInt8Args Int8Rows::args(std::int64_t n,
                                       const Tensor& scale,
                                       const Tensor& bias) const {
  kernels::LinearInt8Args out;
  out.x = codes();
  out.m = m_;
  out.n = n;
  out.k = k_;
  out.x_scale = codes_.scale.data();
  out.x_zero_point = zero_points_.empty() ? nullptr : zero_points_.data();
  out.w_scale = scale.const_data_ptr<float>();
  out.w_scale_stride = scale.numel() == 1 ? 0 : 1;
  if (bias.defined()) {
    out.bias = bias.const_data_ptr();
    out.bias_type = kernels::to_element(dtype_of(bias.scalar_type()));
  }
  return out;
}

Tensor readable_bias(const Tensor& bias) {
  if (!bias.defined()) return bias;
  const bool as_is = bias.scalar_type() == at::kFloat ||
                     bias.scalar_type() == at::kBFloat16 ||
                     bias.scalar_type() == at::kHalf;
  return (as_is ? bias : bias.to(at::kFloat)).contiguous();
}

Tensor linear_int8(const Tensor& x,
                   const Tensor& qdata,
                   const Tensor& scale,
                   const Tensor& bias,
                   const Int8Activation& activation,
                   c10::ScalarType out_dtype) {
  check_dtype(kLinearInt8, "qdata", qdata, {at::kChar});
  TORCH_CHECK_VALUE(qdata.dim() == 2,
                    kLinearInt8,
                    ": qdata: expected [N, K], got ",
                    qdata.sizes());
  TORCH_CHECK_VALUE(qdata.device() == x.device(),
                    kLinearInt8,
                    ": qdata: expected the device of x, ",
                    x.device(),
                    ", got ",
                    qdata.device());
  check_linear_int8(
      x, qdata.size(0), qdata.size(1), scale, bias, activation, out_dtype);
  if (x.is_cpu() && x.numel() > 0) {
    return linear_int8_cpu(x, qdata, scale, bias, activation, out_dtype);
  }
  if (x.is_meta()) {
    Shape sizes = x.sizes().vec();
    sizes.back() = qdata.size(0);
    return at::empty(sizes, x.options().dtype(out_dtype));
  }
  return linear_int8_by_aten(x, qdata, scale, bias, activation, out_dtype);
}

void define_linear_int8(torch::Library& library) {
  library.def(
      "linear_int8(Tensor x, Tensor qdata, Tensor scale, Tensor? bias=None, *, "
      "bool per_tensor=False, bool asymmetric=False, bool reduce_range=False, "
      "Tensor? act_scale=None, Tensor? act_zero_point=None, "
      "ScalarType? out_dtype=None) -> Tensor");
  for (const c10::DispatchKey key : {c10::DispatchKey::CPU,
                                     c10::DispatchKey::CUDA,
                                     c10::DispatchKey::Meta}) {
    library.impl("linear_int8", torch::dispatch(key, TORCH_FN(dispatched)));
  }
}

}  // namespace mantissa
