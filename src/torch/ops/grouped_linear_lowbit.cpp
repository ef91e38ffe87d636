#include "torch/ops/grouped_linear_lowbit.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>

#include "kernels/grouped_lowbit.h"
#include "torch/ops/checks.h"
#include "torch/ops/linear_lowbit.h"

namespace mantissa {
namespace {

using at::Tensor;

constexpr const char* kName = "grouped_linear";

void check_arguments(const Tensor& x,
                     const Shape& shape,
                     std::span<const std::int64_t> ends) {
  TORCH_CHECK_VALUE(shape.size() == 3,
                    kName,
                    ": weight: expected experts [E, N, K], got ",
                    c10::IntArrayRef(shape));
  check_dtype(kName, "x", x, {at::kFloat, at::kBFloat16, at::kHalf});
  TORCH_CHECK_VALUE(x.is_cpu() && x.dim() == 2,
                    kName,
                    ": x: expected [T, K] on the CPU, got ",
                    x.sizes(),
                    " on ",
                    x.device());
  check_last_dim(kName, "x", x, shape[2], "in_features");
  const std::string error =
      kernels::grouped_ends_error(ends, shape[0], x.size(0));
  TORCH_CHECK_VALUE(error.empty(), kName, ": offsets: ", error);
}

}  // namespace

Tensor grouped_product(const Tensor& x,
                       const Shape& shape,
                       std::span<const std::int64_t> ends,
                       const std::function<Tensor(const Tensor&)>& product) {
  check_arguments(x, shape, ends);
  const std::int64_t used = ends.empty() ? 0 : ends.back();
  const Tensor y = used == 0 ? at::empty({0, shape[1]}, x.options())
                             : product(x.narrow(0, 0, used));
  const std::int64_t behind = x.size(0) - used;
  return behind == 0 ? y : at::constant_pad_nd(y, {0, 0, 0, behind});
}

Tensor grouped_linear_lowbit(const Tensor& x,
                             const LowbitWeight& weight,
                             std::span<const std::int64_t> ends,
                             Int8Compute activation) {
  return grouped_product(
      x, weight.encoding()->shape(), ends, [&](const Tensor& rows) {
        return LowbitInput(rows, activation, {ends.begin(), ends.end()})
            .linear(weight, {});
      });
}

}  // namespace mantissa
