#include "torch/tensor/packed_embedding.h"

#include "torch/ops/embedding_lowbit.h"
#include "torch/tensor/host_tensors.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {

at::Tensor packed_embedding(const at::Tensor& weight,
                            const at::Tensor& indices) {
  const QuantizedTensorImpl* impl = quantized_impl(weight);
  if (impl == nullptr || impl->state().packed == nullptr ||
      impl->state().transposed) {
    return {};
  }
  const c10::ScalarType dtype = weight.scalar_type();
  const c10::ScalarType stored =
      scalar_type_of(impl->state().encoding->dtype());
  const bool half = dtype == at::kBFloat16 || dtype == at::kHalf;
  const at::Tensor rows =
      embedding_lowbit(*impl->state().packed,
                       indices,
                       stored == at::kFloat && half ? dtype : stored);
  return stored == dtype ? rows : rows.to(dtype);
}

}  // namespace mantissa
