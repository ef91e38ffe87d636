#include "torch/models/cache_rows.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include "kernels/decode_ops.h"

namespace mantissa {
namespace {

using kernels::CacheType;

constexpr std::int64_t kGrainValues = 1 << 14;

CacheType cache_type(const at::Tensor& rows) {
  return rows.scalar_type() == at::kChar       ? CacheType::I8
         : rows.scalar_type() == at::kBFloat16 ? CacheType::Bf16
                                               : CacheType::F32;
}

// Where (b, head, position) lies, in bytes.
std::uint8_t* place(const at::Tensor& rows, std::int64_t row) {
  return static_cast<std::uint8_t*>(rows.mutable_data_ptr()) +
         row * rows.size(3) * static_cast<std::int64_t>(rows.element_size());
}

// `count` positions of one head from row `row` of [B * kv_heads * capacity] on.
void put(const at::Tensor& rows,
         const at::Tensor& scales,
         std::int64_t row,
         std::int64_t count,
         const float* x) {
  kernels::StoreCachedArgs args;
  args.x = x;
  args.rows = place(rows, row);
  if (scales.defined()) args.scales = scales.mutable_data_ptr<float>() + row;
  args.cache = cache_type(rows);
  args.count = count;
  args.head_dim = rows.size(3);
  kernels::select_decode_ops({rows.size(3)}).store_cached(args);
}

void append(const at::Tensor& rows,
            const at::Tensor& scales,
            std::int64_t past,
            const at::Tensor& x) {
  const std::int64_t fresh = x.size(2);
  if (!scales.defined()) {
    rows.narrow(2, past, fresh).copy_(x);
    return;
  }
  TORCH_CHECK_VALUE(!(c10::GradMode::is_enabled() && x.requires_grad()),
                    "KvCache: an int8 cache does not differentiate; use a "
                    "float one, or NoGradGuard");
  const at::Tensor wide = x.to(at::kFloat).contiguous();
  const auto* values = wide.const_data_ptr<float>();
  const std::int64_t size = fresh * x.size(3);
  at::parallel_for(
      0,
      x.size(0) * x.size(1),
      std::max<std::int64_t>(1, kGrainValues / std::max<std::int64_t>(1, size)),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          put(rows, scales, i * rows.size(2) + past, fresh, values + i * size);
        }
      });
}

}  // namespace

void append_positions(const KvCache::Layer& layer,
                      std::int64_t past,
                      const at::Tensor& k,
                      const at::Tensor& v) {
  append(layer.keys, layer.key_scales, past, k);
  append(layer.values, layer.value_scales, past, v);
}

at::Tensor first_positions(const at::Tensor& rows,
                           const at::Tensor& scales,
                           std::int64_t count,
                           c10::ScalarType dtype) {
  const at::Tensor first = rows.narrow(2, 0, count);
  if (!scales.defined()) return first.to(dtype);
  return first.to(at::kFloat)
      .mul_(scales.narrow(2, 0, count).unsqueeze(-1))
      .to(dtype);
}

bool cached_for_kernels(const KvCache::Layer& layer) {
  const c10::ScalarType type = layer.keys.scalar_type();
  return layer.keys.is_cpu() &&
         (type == at::kFloat || type == at::kBFloat16 || type == at::kChar);
}

void append_position(const KvCache::Layer& layer,
                     std::int64_t past,
                     const float* k,
                     const float* v) {
  const std::int64_t capacity = layer.keys.size(2);
  const std::int64_t dim = layer.keys.size(3);
  for (std::int64_t h = 0; h < layer.keys.size(1); ++h) {
    const std::int64_t row = h * capacity + past;
    put(layer.keys, layer.key_scales, row, 1, k + h * dim);
    put(layer.values, layer.value_scales, row, 1, v + h * dim);
  }
}

kernels::AttendOneArgs cached_block(const KvCache::Layer& layer,
                                    std::int64_t head,
                                    std::int64_t begin,
                                    std::int64_t end) {
  const std::int64_t row = head * layer.keys.size(2) + begin;
  kernels::AttendOneArgs args;
  args.keys = place(layer.keys, row);
  args.values = place(layer.values, row);
  if (layer.key_scales.defined()) {
    args.key_scales = layer.key_scales.const_data_ptr<float>() + row;
    args.value_scales = layer.value_scales.const_data_ptr<float>() + row;
  }
  args.cache = cache_type(layer.keys);
  args.count = end - begin;
  args.head_dim = layer.keys.size(3);
  return args;
}

}  // namespace mantissa
