#include <limits>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <mantissa/torch/decoder.h>

namespace mantissa {
namespace {

void check_dtype(c10::ScalarType dtype, c10::Device device) {
  TORCH_CHECK_TYPE(dtype == at::kFloat || dtype == at::kBFloat16 ||
                       dtype == at::kHalf || dtype == at::kChar,
                   "KvCache: dtype: expected float32, bfloat16, float16 or "
                   "int8, got ",
                   dtype);
  TORCH_CHECK_TYPE(dtype != at::kChar || device.is_cpu(),
                   "KvCache: dtype: int8 is for the CPU, got ",
                   device,
                   "; bfloat16 is for every device");
}

}  // namespace

KvCache::KvCache(const DecoderConfig& config,
                 std::int64_t batch,
                 std::int64_t capacity,
                 const at::TensorOptions& options)
    : batch_(batch), capacity_(capacity) {
  TORCH_CHECK_VALUE(batch >= 1 && capacity >= 1,
                    "KvCache: batch and capacity: expected 1 or more, got ",
                    batch,
                    " and ",
                    capacity);
  const c10::ScalarType dtype = options.dtype().toScalarType();
  check_dtype(dtype, options.device());
  const std::vector<std::int64_t> sizes = {
      batch, config.kv_heads, capacity, config.head_dim};
  const auto scales = [&] {
    return dtype == at::kChar ? at::empty({batch, config.kv_heads, capacity},
                                          options.dtype(at::kFloat))
                              : at::Tensor();
  };
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    layers_.push_back({at::empty(sizes, options),
                       at::empty(sizes, options),
                       scales(),
                       scales()});
  }
}

void KvCache::truncate(std::int64_t length) {
  TORCH_CHECK_VALUE(length >= 0 && length <= length_,
                    "KvCache: truncate: expected a length from 0 to ",
                    length_,
                    ", got ",
                    length);
  length_ = length;
}

std::int64_t KvCache::nbytes() const {
  std::int64_t bytes = 0;
  for (const Layer& layer : layers_) {
    for (const at::Tensor& tensor :
         {layer.keys, layer.values, layer.key_scales, layer.value_scales}) {
      if (tensor.defined()) bytes += static_cast<std::int64_t>(tensor.nbytes());
    }
  }
  return bytes;
}

std::int64_t KvCache::bytes_for(const DecoderConfig& config,
                                std::int64_t batch,
                                std::int64_t capacity,
                                c10::ScalarType dtype) {
  // Of one head and position.
  std::int64_t bytes =
      2 *
      (config.head_dim * static_cast<std::int64_t>(c10::elementSize(dtype)) +
       (dtype == at::kChar ? 4 : 0));
  for (const std::int64_t factor :
       {static_cast<std::int64_t>(config.layers.size()),
        batch,
        capacity,
        config.kv_heads}) {
    // More than there is memory stays more than there is memory.
    if (__builtin_mul_overflow(bytes, factor, &bytes)) {
      return std::numeric_limits<std::int64_t>::max() / 4;
    }
  }
  return bytes;
}

}  // namespace mantissa
