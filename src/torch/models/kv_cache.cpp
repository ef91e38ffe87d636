#include <limits>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <mantissa/torch/decoder.h>

namespace mantissa {

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
  const std::vector<std::int64_t> sizes = {
      batch, config.kv_heads, capacity, config.head_dim};
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    layers_.push_back({at::empty(sizes, options), at::empty(sizes, options)});
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
    bytes +=
        static_cast<std::int64_t>(layer.keys.nbytes() + layer.values.nbytes());
  }
  return bytes;
}

std::int64_t KvCache::bytes_for(const DecoderConfig& config,
                                std::int64_t batch,
                                std::int64_t capacity,
                                c10::ScalarType dtype) {
  std::int64_t bytes = 2 * static_cast<std::int64_t>(c10::elementSize(dtype));
  for (const std::int64_t factor :
       {static_cast<std::int64_t>(config.layers.size()),
        batch,
        capacity,
        config.kv_heads,
        config.head_dim}) {
    // More than there is memory stays more than there is memory.
    if (__builtin_mul_overflow(bytes, factor, &bytes)) {
      return std::numeric_limits<std::int64_t>::max() / 4;
    }
  }
  return bytes;
}

}  // namespace mantissa
