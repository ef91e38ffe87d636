#include <mantissa/torch/decoder.h>

#include <algorithm>
#include <utility>

#include <c10/util/Exception.h>

#include "torch/models/decode_step.h"
#include "torch/models/decoder_stack.h"
#include "torch/models/linear_layers.h"
#include "torch/ops/linear_plain.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/quantized_tensor_impl.h"

namespace mantissa {
namespace {

// The least and the most. A token's id is looked at without an operator: once
// in a token, each of those costs its code's way from memory.
std::pair<std::int64_t, std::int64_t> range(const at::Tensor& ids) {
  const at::Tensor here = ids.cpu().contiguous();
  const auto* begin = here.const_data_ptr<std::int64_t>();
  const auto [least, most] = std::minmax_element(begin, begin + here.numel());
  return {*least, *most};
}

}  // namespace

Decoder::Decoder(DecoderConfig config, c10::ScalarType dtype)
    : config_(std::move(config)), dtype_(dtype) {
  TORCH_CHECK_TYPE(
      dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf,
      "Decoder: dtype: expected float32, bfloat16 or float16, got ",
      dtype);
  stack_ =
      register_module("model", std::make_shared<DecoderStack>(config_, dtype));
  head_ = register_module(
      "lm_head", make_linear(config_.hidden, config_.vocabulary, false, dtype));
  if (config_.tied) {
    ParameterPlace{head_.get(), "", "weight"}.put(stack_->embedding()->weight);
  }
}

// Layers, which are all alike, are written without another look at their sizes.
void Decoder::check_cache(const KvCache& cache) const {
  const auto like_ours = [&](const at::Tensor& keys) {
    return keys.size(1) == config_.kv_heads && keys.size(3) == config_.head_dim;
  };
  const bool fits = cache.layers() == config_.layers.size() &&
                    (cache.layers() == 0 || like_ours(cache.layer(0).keys));
  TORCH_CHECK_VALUE(fits,
                    "Decoder: cache: expected ",
                    config_.layers.size(),
                    " layers of [batch, ",
                    config_.kv_heads,
                    ", capacity, ",
                    config_.head_dim,
                    "]; it was made for another model, make_cache() makes one");
}

void Decoder::check_ids(const at::Tensor& ids, const KvCache* cache) const {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.scalar_type() == at::kLong &&
                        ids.size(0) > 0 && ids.size(1) > 0,
                    "Decoder: ids: expected int64 [batch, tokens], got ",
                    ids.sizes(),
                    " ",
                    ids.scalar_type());
  const auto [least, most] = range(ids);
  TORCH_CHECK_VALUE(least >= 0 && most < config_.vocabulary,
                    "Decoder: ids: expected ids in [0, ",
                    config_.vocabulary,
                    ") (= vocab_size), got ",
                    least < 0 ? least : most);
  if (cache == nullptr) return;
  check_cache(*cache);
  TORCH_CHECK_VALUE(cache->batch() == ids.size(0),
                    "Decoder: ids: expected a batch of ",
                    cache->batch(),
                    " as in the cache, got ",
                    ids.size(0));
  TORCH_CHECK_VALUE(cache->length() + ids.size(1) <= cache->capacity(),
                    "Decoder: ids: the cache holds ",
                    cache->capacity(),
                    " positions, ",
                    cache->length(),
                    " are filled and ",
                    ids.size(1),
                    " more do not fit; make a cache of a larger capacity");
}

at::Tensor Decoder::hidden_states(const at::Tensor& ids, KvCache* cache) {
  check_ids(ids, cache);
  const std::int64_t past = cache == nullptr ? 0 : cache->length();
  at::Tensor hidden;
  if (cache != nullptr) {
    hidden = decode_step(config_, *stack_, ids, cache, past, cache->step_);
  }
  if (!hidden.defined()) hidden = stack_->forward(ids, cache, past);
  if (cache != nullptr) cache->length_ = past + ids.size(1);
  return hidden;
}

at::Tensor Decoder::logits(const at::Tensor& hidden) {
  at::Tensor out = is_wrapped(head_->weight)
                       ? forward_each(hidden, {&head_}).front()
                       : linear_plain(hidden, head_->weight);
  if (config_.final_cap > 0) {
    out = out.div(config_.final_cap).tanh().mul(config_.final_cap);
  }
  return out;
}

at::Tensor Decoder::forward(const at::Tensor& ids, KvCache* cache) {
  return logits(hidden_states(ids, cache));
}

KvCache Decoder::make_cache(std::int64_t batch,
                            std::int64_t capacity,
                            std::optional<c10::ScalarType> dtype) const {
  return KvCache(
      config_,
      batch,
      capacity,
      at::TensorOptions(head_->weight.device()).dtype(dtype.value_or(dtype_)));
}

}  // namespace mantissa
