#include "torch/models/cache_rows.h"

#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

namespace mantissa {
namespace {

using kernels::CacheType;

constexpr std::int64_t kGrainValues = 1 << 14;

CacheType cache_type(const at::Tensor& rows) {
  return rows.scalar_type() == at::kChar       ? CacheType::I8
         : rows.scalar_type() == at::kBFloat16 ? CacheType::Bf16
                                               : CacheType::F32;
}

float* scales_data(const at::Tensor& scales) {
  return scales.defined() ? scales.mutable_data_ptr<float>() : nullptr;
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
  auto* codes = static_cast<std::uint8_t*>(rows.mutable_data_ptr());
  const auto& ops = kernels::select_decode_ops({x.size(3)});
  at::parallel_for(
      0,
      x.size(0) * x.size(1),
      std::max<std::int64_t>(1, kGrainValues / std::max<std::int64_t>(1, size)),
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t row = i * rows.size(2) + past;
          kernels::StoreCachedArgs args;
          args.x = values + i * size;
          args.rows = codes + row * x.size(3);
          args.scales = scales_data(scales) + row;
          args.cache = CacheType::I8;
          args.count = fresh;
          args.head_dim = x.size(3);
          ops.store_cached(args);
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

CacheRows::CacheRows(const KvCache::Layer& layer)
    : type_(cache_type(layer.keys)),
      heads_(layer.keys.size(1)),
      capacity_(layer.keys.size(2)),
      head_dim_(layer.keys.size(3)),
      row_bytes_(head_dim_ *
                 static_cast<std::int64_t>(layer.keys.element_size())),
      keys_(static_cast<std::uint8_t*>(layer.keys.mutable_data_ptr())),
      values_(static_cast<std::uint8_t*>(layer.values.mutable_data_ptr())),
      key_scales_(scales_data(layer.key_scales)),
      value_scales_(scales_data(layer.value_scales)) {}

bool CacheRows::take(const KvCache::Layer& layer) {
  const c10::ScalarType type = layer.keys.scalar_type();
  return layer.keys.is_cpu() &&
         (type == at::kFloat || type == at::kBFloat16 || type == at::kChar);
}

void CacheRows::append(const kernels::DecodeOpsKernel& ops,
                       std::int64_t past,
                       const float* k,
                       const float* v) const {
  kernels::StoreCachedArgs args;
  args.cache = type_;
  args.count = 1;
  args.head_dim = head_dim_;
  const auto store =
      [&](const float* x, std::uint8_t* rows, float* scales, std::int64_t row) {
        args.x = x;
        args.rows = rows + row * row_bytes_;
        args.scales = scales == nullptr ? nullptr : scales + row;
        ops.store_cached(args);
      };
  for (std::int64_t h = 0; h < heads_; ++h) {
    const std::int64_t row = h * capacity_ + past;
    store(k + h * head_dim_, keys_, key_scales_, row);
    store(v + h * head_dim_, values_, value_scales_, row);
  }
}

kernels::AttendOneArgs CacheRows::block(std::int64_t head,
                                        std::int64_t begin,
                                        std::int64_t end) const {
  const std::int64_t row = head * capacity_ + begin;
  kernels::AttendOneArgs args;
  args.keys = keys_ + row * row_bytes_;
  args.values = values_ + row * row_bytes_;
  if (key_scales_ != nullptr) {
    args.key_scales = key_scales_ + row;
    args.value_scales = value_scales_ + row;
  }
  args.cache = type_;
  args.count = end - begin;
  args.head_dim = head_dim_;
  return args;
}

void CacheRows::fetch(const kernels::AttendOneArgs& block) const {
  constexpr std::int64_t kLine = 64;
  const std::int64_t bytes = block.count * row_bytes_;
  for (const void* rows : {block.keys, block.values}) {
    const auto* line = static_cast<const std::uint8_t*>(rows);
    for (std::int64_t i = 0; i < bytes; i += kLine)
      __builtin_prefetch(line + i);
  }
}

}  // namespace mantissa
