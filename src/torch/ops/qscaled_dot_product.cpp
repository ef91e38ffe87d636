#include "torch/ops/qscaled_dot_product.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <mantissa/core/dtype.h>

#include "kernels/attention_int8.h"
#include "torch/ops/checks.h"

namespace mantissa {
namespace {

using at::Tensor;
using Options = QScaledDotProductOptions;

constexpr const char* kOp = "qscaled_dot_product";

void check_tensors(const Tensor& query,
                   const Tensor& key,
                   const Tensor& value) {
  check_dtype(kOp, "query", query, {at::kByte, at::kFloat8_e4m3fn});
  check_dtype(kOp, "key", key, {query.scalar_type()});
  check_dtype(kOp, "value", value, {query.scalar_type()});
  TORCH_CHECK_VALUE(query.dim() == 4,
                    kOp,
                    ": query: expected [batch, heads, length, head_dim], got ",
                    query.sizes());
  TORCH_CHECK_VALUE(key.dim() == 4,
                    kOp,
                    ": key: expected [batch, heads, length, head_dim], got ",
                    key.sizes());
  TORCH_CHECK_VALUE(key.size(1) == query.size(1),
                    kOp,
                    ": key: expected ",
                    query.size(1),
                    " heads (= heads of query), got ",
                    key.sizes(),
                    "; grouped heads: use key.repeat_interleave(groups, 1), "
                    "and the same of value");
  check_sizes(kOp,
              "key",
              key,
              {query.size(0), query.size(1), key.size(2), query.size(3)});
  check_sizes(kOp, "value", value, key.sizes());
  for (const auto& [name, tensor] :
       {std::pair<const char*, const Tensor&>{"key", key}, {"value", value}}) {
    TORCH_CHECK_VALUE(tensor.device() == query.device(),
                      kOp,
                      ": ",
                      name,
                      ": expected the device of query, ",
                      query.device(),
                      ", got ",
                      tensor.device());
  }
}

void check_mask(const Tensor& query, const Tensor& key, const Tensor& mask) {
  check_dtype(kOp, "attn_mask", mask, {at::kFloat, at::kBFloat16});
  TORCH_CHECK_VALUE(mask.device() == query.device(),
                    kOp,
                    ": attn_mask: expected the device of query, ",
                    query.device(),
                    ", got ",
                    mask.device());
  const std::int64_t scores[] = {
      query.size(0), query.size(1), query.size(2), key.size(2)};
  bool fits = mask.dim() == 2 || mask.dim() == 4;
  for (std::int64_t i = 1; fits && i <= mask.dim(); ++i) {
    fits = mask.size(-i) == 1 || mask.size(-i) == scores[4 - i];
  }
  TORCH_CHECK_VALUE(fits,
                    kOp,
                    ": attn_mask: expected rank 2 or 4, each dimension that of "
                    "the scores ",
                    c10::IntArrayRef(scores),
                    " or 1, got ",
                    mask.sizes());
}

void check_scale(const char* name, double scale) {
  TORCH_CHECK_VALUE(scale >= std::numeric_limits<float>::min() &&
                        scale <= std::numeric_limits<float>::max(),
                    kOp,
                    ": ",
                    name,
                    ": expected a number above 0 that float32 holds, got ",
                    scale);
}

void check_zero_point(const char* name,
                      std::int64_t zero,
                      c10::ScalarType dtype) {
  const std::int64_t most = dtype == at::kByte ? 255 : 0;
  TORCH_CHECK_VALUE(zero >= 0 && zero <= most,
                    kOp,
                    ": ",
                    name,
                    ": expected ",
                    most == 0 ? "0 with float8_e4m3fn" : "0 to 255 with uint8",
                    ", got ",
                    zero);
}

double scale_of(const Tensor& query, const Options& options) {
  return options.scale.value_or(1.0 /
                                std::sqrt(static_cast<double>(query.size(3))));
}

void check_options(const Tensor& query, const Options& options) {
  TORCH_CHECK_NOT_IMPLEMENTED(options.dropout_p == 0.0,
                              kOp,
                              ": dropout_p: expected 0, got ",
                              options.dropout_p,
                              "; quantized attention is for inference");
  TORCH_CHECK_NOT_IMPLEMENTED(
      !options.is_causal,
      kOp,
      ": is_causal: expected false; use an attn_mask of -infinity above the "
      "diagonal");
  TORCH_CHECK_VALUE(!options.scale || std::isfinite(*options.scale),
                    kOp,
                    ": scale: expected a finite number, got ",
                    options.scale.value_or(0));
  check_scale("q_scale", options.q_scale);
  check_scale("k_scale", options.k_scale);
  check_scale("v_scale", options.v_scale);
  check_scale("a_scale", options.a_scale);
  check_scale("o_scale", options.o_scale);
  const c10::ScalarType dtype = query.scalar_type();
  check_zero_point("q_zp", options.q_zp, dtype);
  check_zero_point("k_zp", options.k_zp, dtype);
  check_zero_point("v_zp", options.v_zp, dtype);
  check_zero_point("a_zp", options.a_zp, dtype);
  check_zero_point("o_zp", options.o_zp, dtype);
  const double most = 255.0 * 255.0 * static_cast<double>(query.size(3)) *
                      std::abs(scale_of(query, options)) * options.q_scale *
                      options.k_scale;
  TORCH_CHECK_VALUE(query.size(3) == 0 || dtype != at::kByte ||
                        most <= std::numeric_limits<float>::max() / 2,
                    kOp,
                    ": q_scale * k_scale * scale: expected scores that float32 "
                    "holds, got up to ",
                    most);
}

// Rows whose elements follow each other.
Tensor with_whole_rows(const Tensor& x) {
  return x.size(3) <= 1 || x.stride(3) == 1 ? x : x.contiguous();
}

kernels::AttentionStrides strides_of(const Tensor& x) {
  return {x.stride(0), x.stride(1), x.stride(2)};
}

// float32, each row whole; what is the same for all has the stride 0.
Tensor mask_of(const Tensor& query, const Tensor& key, const Tensor& mask) {
  Tensor wide = mask.to(at::kFloat);
  Shape own = wide.sizes().vec();
  own.back() = key.size(2);
  wide = with_whole_rows(wide.expand(own).reshape({mask.dim() == 4 ? own[0] : 1,
                                                   mask.dim() == 4 ? own[1] : 1,
                                                   own[own.size() - 2],
                                                   own.back()}));
  return wide.expand(
      {query.size(0), query.size(1), query.size(2), key.size(2)});
}

Tensor output_of(const Tensor& query) {
  return at::empty({query.size(0), query.size(2), query.size(1), query.size(3)},
                   query.options())
      .transpose(1, 2);
}

// Heads and blocks of their queries, from the threads of ATen's pool: the
// kernels own none. A thread takes blocks in order and prepares a head once.
void run_blocks(std::int64_t batches, const kernels::AttentionInt8Args& args) {
  constexpr std::int64_t kGrainProducts = 1 << 19;
  const auto& kernel = kernels::select_attention_int8({args.head_dim});
  const std::int64_t blocks =
      (args.queries + kernels::kAttentionRows - 1) / kernels::kAttentionRows;
  const std::int64_t products =
      std::min(args.queries, kernels::kAttentionRows) * args.keys *
      args.head_dim * 2;
  const std::int64_t grain =
      std::max<std::int64_t>(1, kGrainProducts / products);
  const auto bytes = kernels::attention_scratch(args.keys, args.head_dim).bytes;
  at::parallel_for(
      0,
      batches * args.heads * blocks,
      grain,
      [&](std::int64_t begin, std::int64_t end) {
        const Tensor scratch = at::empty({bytes}, at::kByte);
        std::int64_t ready = -1;
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t which = i / blocks;
          const kernels::AttentionHead head = {which / args.heads,
                                               which % args.heads};
          void* room = scratch.mutable_data_ptr();
          if (which != ready) kernel.prepare(args, head, room);
          ready = which;
          const std::int64_t row = i % blocks * kernels::kAttentionRows;
          kernel.attend(args,
                        head,
                        row,
                        std::min(args.queries, row + kernels::kAttentionRows),
                        room);
        }
      });
}

Tensor attend_int8_cpu(const Tensor& query,
                       const Tensor& key,
                       const Tensor& value,
                       const Options& options) {
  Tensor out = output_of(query);
  if (out.numel() == 0) return out;
  // Sums of nothing are 0.
  if (key.size(2) == 0) return out.fill_(options.o_zp);
  const Tensor q = with_whole_rows(query);
  const Tensor k = with_whole_rows(key);
  const Tensor v = with_whole_rows(value);
  const Tensor mask =
      options.attn_mask ? mask_of(query, key, *options.attn_mask) : Tensor();
  kernels::AttentionInt8Args args;
  args.q = q.const_data_ptr<std::uint8_t>();
  args.k = k.const_data_ptr<std::uint8_t>();
  args.v = v.const_data_ptr<std::uint8_t>();
  args.out = out.mutable_data_ptr<std::uint8_t>();
  args.q_strides = strides_of(q);
  args.k_strides = strides_of(k);
  args.v_strides = strides_of(v);
  args.out_strides = strides_of(out);
  if (mask.defined()) {
    args.mask = mask.const_data_ptr<float>();
    args.mask_strides = strides_of(mask);
  }
  args.heads = query.size(1);
  args.queries = query.size(2);
  args.keys = key.size(2);
  args.head_dim = query.size(3);
  args.q_zero = static_cast<std::int32_t>(options.q_zp);
  args.k_zero = static_cast<std::int32_t>(options.k_zp);
  args.v_zero = static_cast<std::int32_t>(options.v_zp);
  args.a_zero = static_cast<std::int32_t>(options.a_zp);
  args.o_zero = static_cast<std::int32_t>(options.o_zp);
  args.score_scale = static_cast<float>(options.q_scale * options.k_scale *
                                        scale_of(query, options));
  args.a_scale = options.a_scale;
  // Above the largest float32 every sum but 0 saturates.
  args.out_scale = static_cast<float>(
      std::min<double>(options.a_scale * options.v_scale / options.o_scale,
                       std::numeric_limits<float>::max()));
  run_blocks(query.size(0), args);
  return out;
}

Tensor dispatched_attention(const Tensor& query,
                            const Tensor& key,
                            const Tensor& value,
                            const std::optional<Tensor>& attn_mask,
                            double dropout_p,
                            bool is_causal,
                            std::optional<double> scale,
                            double q_scale,
                            std::int64_t q_zp,
                            double k_scale,
                            std::int64_t k_zp,
                            double v_scale,
                            std::int64_t v_zp,
                            double a_scale,
                            std::int64_t a_zp,
                            double o_scale,
                            std::int64_t o_zp) {
  return qscaled_dot_product(query,
                             key,
                             value,
                             {attn_mask,
                              dropout_p,
                              is_causal,
                              scale,
                              q_scale,
                              q_zp,
                              k_scale,
                              k_zp,
                              v_scale,
                              v_zp,
                              a_scale,
                              a_zp,
                              o_scale,
                              o_zp});
}

}  // namespace

Tensor qscaled_dot_product(const Tensor& query,
                           const Tensor& key,
                           const Tensor& value,
                           const Options& options) {
  check_tensors(query, key, value);
  check_options(query, options);
  if (options.attn_mask) check_mask(query, key, *options.attn_mask);
  if (query.is_meta()) return output_of(query);
  if (query.is_cpu() && query.scalar_type() == at::kByte) {
    return attend_int8_cpu(query, key, value, options);
  }
  return qscaled_dot_product_by_aten(query, key, value, options);
}

void define_qscaled_dot_product(torch::Library& library) {
  library.def(
      "qscaled_dot_product(Tensor query, Tensor key, Tensor value, "
      "Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, "
      "float? scale=None, float q_scale=1., int q_zp=0, float k_scale=1., "
      "int k_zp=0, float v_scale=1., int v_zp=0, float a_scale=1., "
      "int a_zp=0, float o_scale=1., int o_zp=0) -> Tensor");
  for (const c10::DispatchKey key : {c10::DispatchKey::CPU,
                                     c10::DispatchKey::CUDA,
                                     c10::DispatchKey::Meta}) {
    library.impl("qscaled_dot_product",
                 torch::dispatch(key, TORCH_FN(dispatched_attention)));
  }
}

}  // namespace mantissa
