#include "torch/ops/embedding_lowbit.h"

#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "kernels/common/element_dtype.h"
#include "kernels/embedding_lowbit.h"
#include "torch/ops/checks.h"
#include "torch/ops/linear_lowbit.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

// Values that a thread decodes at least: about what it costs to wake one.
constexpr std::int64_t kGrainLookup = 1 << 15;

template <class Index>
void check_indices(const at::Tensor& indices, std::int64_t rows) {
  const auto* index = indices.const_data_ptr<Index>();
  for (std::int64_t i = 0; i < indices.numel(); ++i) {
    TORCH_CHECK_INDEX(index[i] >= 0 && index[i] < rows,
                      "embedding: index ",
                      index[i],
                      " is outside [0, ",
                      rows,
                      ")");
  }
}

}  // namespace

at::Tensor embedding_lowbit(const LowbitWeight& weight,
                            const at::Tensor& indices,
                            c10::ScalarType dtype) {
  const bool narrow = indices.scalar_type() == at::kInt;
  const at::Tensor rows =
      indices.to(narrow ? at::kInt : at::kLong).contiguous();
  const std::int64_t k = weight.layout().k;
  if (narrow) {
    check_indices<std::int32_t>(rows, weight.layout().n);
  } else {
    check_indices<std::int64_t>(rows, weight.layout().n);
  }
  Shape sizes = indices.sizes().vec();
  sizes.push_back(k);
  at::Tensor out = at::empty(sizes, at::TensorOptions(dtype));
  kernels::EmbeddingLowbitArgs args;
  args.w = weight.view();
  args.values = decoded_type(weight);
  args.columns = k;
  args.indices = rows.const_data_ptr();
  args.index_bytes = narrow ? 4 : 8;
  args.type = kernels::to_element(dtype_of(dtype));
  args.out = out.mutable_data_ptr();
  const auto& kernel =
      kernels::select_embedding_lowbit({args.w.bits, args.type});
  at::parallel_for(0,
                   rows.numel(),
                   std::max<std::int64_t>(1, kGrainLookup / k),
                   [&](std::int64_t begin, std::int64_t end) {
                     kernel.run(args, begin, end);
                   });
  return out;
}

}  // namespace mantissa
