#include "torch/ops/lowbit_rows.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>

#include "kernels/quantize_panels.h"
#include "torch/ops/quantize_rows.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using at::Tensor;
using kernels::LowbitActivationBuffer;

constexpr std::int64_t kSerialRows = 16;  // that one thread quantizes

std::int64_t group_of(Int8Compute compute) {
  return compute == Int8Compute::Group64 ? 64 : 32;
}

void quantize_tokens(const Tensor& x, LowbitActivationBuffer& out) {
  RowCodes rows(x.size(0), x.size(1));
  const DType dtype = dtype_of(x.scalar_type());
  const RowRule rule = int8_asym_per_token(dtype);
  choose_row_params(x, rule, rows);
  quantize_rows(x, rule.range, dtype, rows);
  out.resize(x.size(0), x.size(1), 0, /*zeros=*/true);
  at::parallel_for(
      0, out.panels(), kGrainPanels, [&](std::int64_t begin, std::int64_t end) {
        out.take_rows(rows.codes.get(),
                      rows.scale.data(),
                      rows.zero_point.data(),
                      begin,
                      end);
      });
}

}  // namespace

bool takes_int8(Int8Compute compute) {
  return compute == Int8Compute::Token || compute == Int8Compute::Group32 ||
         compute == Int8Compute::Group64;
}

void quantize_lowbit_rows(const Tensor& x,
                          Int8Compute compute,
                          LowbitActivationBuffer& out) {
  if (compute == Int8Compute::Token) return quantize_tokens(x, out);
  const std::int64_t group = group_of(compute);
  const Tensor wide = x.to(at::kFloat);
  out.resize(x.size(0), x.size(1), group, /*zeros=*/false);
  const auto args = out.fill_from(wide.const_data_ptr<float>(), x.size(1));
  const auto& kernel =
      kernels::select_quantize_panels({x.size(0), x.size(1), group});
  const std::int64_t grain = x.size(0) <= kSerialRows ? out.panels() : 1;
  at::parallel_for(
      0, out.panels(), grain, [&](std::int64_t begin, std::int64_t end) {
        kernel.run(args, begin, end);
      });
}

void quantize_lowbit_row(const float* x,
                         std::int64_t k,
                         Int8Compute compute,
                         LowbitActivationBuffer& out) {
  if (compute == Int8Compute::Token) {
    return quantize_tokens(
        at::from_blob(const_cast<float*>(x), {1, k}, at::kFloat), out);
  }
  const std::int64_t group = group_of(compute);
  out.resize(1, k, group, /*zeros=*/false);
  kernels::select_quantize_panels({1, k, group}).run(out.fill_from(x, k), 0, 1);
}

}  // namespace mantissa
