#include <mantissa/torch/perplexity.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/torch/decoder.h>

#include "torch/models/block_sizes.h"

namespace mantissa {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, "eval: " + what);
}

}  // namespace

void check_perplexity(const DecoderConfig& model,
                      std::int64_t tokens,
                      const PerplexityOptions& options,
                      const DecoderConfig* reference) {
  if (options.context < 2) {
    refuse(fmt::format("context: expected 2 or more, got {}", options.context));
  }
  if (options.context == 2 && options.scored == ScoredTokens::SecondHalf) {
    refuse(
        "context: the second half of 2 tokens has nothing to predict; use 3 or "
        "more, or score every token (--full)");
  }
  if (options.context > model.positions) {
    refuse(fmt::format("context: {} is more than the model's {} positions",
                       options.context,
                       model.positions));
  }
  if (options.windows < 0 || options.batch < 1) {
    refuse(
        fmt::format("windows and batch: expected 0 or more and 1 or more, "
                    "got {} and {}",
                    options.windows,
                    options.batch));
  }
  const std::int64_t whole = tokens / options.context;
  if (whole < std::max<std::int64_t>(1, options.windows)) {
    refuse(fmt::format(
        "the text has {} tokens, {} windows of {}; {} needed. "
        "Use a longer text or a shorter context",
        tokens,
        whole,
        options.context,
        options.windows > 0 ? fmt::format("{} are", options.windows) : "1 is"));
  }
  if (reference == nullptr) return;
  if (reference->vocabulary != model.vocabulary) {
    refuse(
        fmt::format("reference: expected a vocabulary of {} tokens as in "
                    "the model, got {}",
                    model.vocabulary,
                    reference->vocabulary));
  }
}

namespace {

class Meter {
 public:
  Meter(Decoder& model, Decoder* reference, const PerplexityOptions& options)
      : model_(model), reference_(reference), options_(options) {
    // Logits of position p judge token p + 1.
    first_ = options.scored == ScoredTokens::Full ? 0 : options.context / 2;
    count_ = options.context - 1 - first_;
  }

  // Windows [batch, context].
  void add(const at::Tensor& windows) {
    const at::Tensor targets = windows.narrow(1, first_ + 1, count_);
    const at::Tensor ours = scored(model_, windows, cache_for(windows.size(0)));
    const at::Tensor theirs = reference_ == nullptr
                                  ? at::Tensor()
                                  : scored(*reference_, windows, nullptr);
    for (std::int64_t w = 0; w < windows.size(0); ++w) {
      for (std::int64_t at = 0; at < count_; at += kRowBlock) {
        const std::int64_t rows = std::min(kRowBlock, count_ - at);
        const at::Tensor log = log_chances(model_, ours[w].narrow(0, at, rows));
        add_likelihoods(log, targets[w].narrow(0, at, rows));
        if (reference_ == nullptr) continue;
        compare(log, log_chances(*reference_, theirs[w].narrow(0, at, rows)));
      }
    }
    windows_ += windows.size(0);
    // The model's own NaN would have reached sum_; an infinite divergence is
    // one.
    if (!std::isfinite(sum_)) refuse_nonfinite("the model");
    if (std::isnan(divergence_)) refuse_nonfinite("the reference");
  }

  PerplexityResult result() const {
    PerplexityResult out;
    out.windows = windows_;
    out.tokens_scored = tokens_;
    const auto n = static_cast<double>(tokens_);
    if (tokens_ == 0) return out;
    out.nll = sum_ / n;
    out.perplexity = std::exp(out.nll);
    if (tokens_ > 1) {
      const double variance = std::max(0.0, squares_ / n - out.nll * out.nll);
      out.standard_error = std::sqrt(variance / (n - 1));
    }
    if (reference_ != nullptr) {
      out.kl_divergence = divergence_ / n;
      out.top1_agreement = static_cast<double>(agreed_) / n;
    }
    return out;
  }

 private:
  [[noreturn]] static void refuse_nonfinite(std::string_view whose) {
    throw NonfiniteError(fmt::format(
        "eval: the chances that {} gives to tokens are no finite numbers",
        whose));
  }

  // Hidden states of the positions that are judged.
  at::Tensor scored(Decoder& model,
                    const at::Tensor& windows,
                    KvCache* cache) const {
    return model.hidden_states(windows, cache).narrow(1, first_, count_);
  }

  // An empty one of the model, or null.
  KvCache* cache_for(std::int64_t batch) {
    if (!options_.cache_dtype) return nullptr;
    if (!cache_ || cache_->batch() != batch) {
      cache_.reset();
      cache_.emplace(
          model_.make_cache(batch, options_.context, options_.cache_dtype));
    }
    cache_->truncate(0);
    return &*cache_;
  }

  static at::Tensor log_chances(Decoder& model, const at::Tensor& hidden) {
    return at::log_softmax(model.logits(hidden), -1, at::kDouble);
  }

  void add_likelihoods(const at::Tensor& log, const at::Tensor& targets) {
    const at::Tensor nll =
        log.gather(1, targets.unsqueeze(1).to(log.device())).neg();
    sum_ += nll.sum().item<double>();
    squares_ += nll.square().sum().item<double>();
    tokens_ += targets.numel();
  }

  void compare(const at::Tensor& log, const at::Tensor& reference) {
    // 0 * log 0 is 0.
    const at::Tensor chance = reference.exp();
    const at::Tensor terms =
        (chance * (reference - log)).masked_fill(chance == 0, 0.0);
    divergence_ += terms.sum().item<double>();
    agreed_ +=
        (log.argmax(-1) == reference.argmax(-1)).sum().item<std::int64_t>();
  }

  Decoder& model_;
  Decoder* reference_;
  const PerplexityOptions& options_;
  std::optional<KvCache> cache_;
  std::int64_t first_;
  std::int64_t count_;
  std::int64_t windows_ = 0;
  std::int64_t tokens_ = 0;
  std::int64_t agreed_ = 0;
  double sum_ = 0;
  double squares_ = 0;
  double divergence_ = 0;
};

}  // namespace

PerplexityResult perplexity(Decoder& model,
                            std::span<const std::int64_t> tokens,
                            const PerplexityOptions& options,
                            Decoder* reference) {
  const c10::InferenceMode inference;
  const auto size = static_cast<std::int64_t>(tokens.size());
  check_perplexity(model.config(),
                   size,
                   options,
                   reference == nullptr ? nullptr : &reference->config());
  const std::int64_t windows =
      options.windows > 0 ? options.windows : size / options.context;
  const at::Tensor all =
      at::tensor(c10::ArrayRef<std::int64_t>(
                     tokens.data(),
                     static_cast<std::size_t>(windows * options.context)),
                 at::kLong)
          .view({windows, options.context});
  if (options.bos) all.select(1, 0).fill_(*options.bos);
  Meter meter(model, reference, options);
  bool stopped = false;
  for (std::int64_t at = 0; at < windows; at += options.batch) {
    stopped = options.interrupted && options.interrupted();
    if (stopped) break;
    const std::int64_t count = std::min(options.batch, windows - at);
    meter.add(all.narrow(0, at, count));
    if (options.progress) {
      options.progress(at + count, windows, meter.result().perplexity);
    }
  }
  PerplexityResult result = meter.result();
  result.asked_windows = windows;
  result.interrupted = stopped;
  return result;
}

}  // namespace mantissa
