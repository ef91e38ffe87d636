#include <mantissa/torch/generation.h>

#include <algorithm>
#include <utility>

#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/torch/decoder.h>

#include "core/stopwatch.h"
#include "torch/models/block_sizes.h"

namespace mantissa {
namespace {

void check_prompt(const KvCache& cache, std::int64_t tokens) {
  if (tokens == 0) {
    throw Error(ErrorKind::Usage,
                "generate: the prompt has no tokens; expected 1 or more");
  }
  if (cache.length() + tokens < cache.capacity()) return;
  throw Error(
      ErrorKind::Usage,
      fmt::format(
          "generate: the prompt has {} tokens{}; a context of {} "
          "leaves no room for an answer. Use a longer context or a "
          "shorter prompt",
          tokens,
          cache.length() > 0
              ? fmt::format(" after {} of the conversation", cache.length())
              : "",
          cache.capacity()));
}

// One run of generate().
class Run {
 public:
  Run(Decoder& model, KvCache& cache, const GenerationOptions& options)
      : model_(model),
        cache_(cache),
        options_(options),
        sampler_(options.sampling),
        seen_(options.history) {}

  Generation operator()(std::span<const std::int64_t> prompt) {
    out_.prompt_tokens = static_cast<std::int64_t>(prompt.size());
    seen_.insert(seen_.end(), prompt.begin(), prompt.end());
    const auto begin = Clock::now();
    const bool whole = read_prompt(prompt);
    out_.prompt_seconds = seconds_since(begin);
    const auto first = Clock::now();
    if (whole) {
      decode();
    } else {
      out_.end = GenerationEnd::Interrupted;
    }
    out_.decode_seconds = seconds_since(first);
    return std::move(out_);
  }

 private:
  bool interrupted() const {
    return options_.interrupted && options_.interrupted();
  }

  void forward(std::span<const std::int64_t> ids) {
    const at::Tensor batch =
        at::tensor(c10::ArrayRef<std::int64_t>(ids.data(), ids.size()),
                   at::kLong)
            .unsqueeze(0);
    hidden_ = model_.hidden_states(batch, &cache_);
  }

  bool read_prompt(std::span<const std::int64_t> prompt) {
    for (std::size_t at = 0; at < prompt.size(); at += kPromptBlock) {
      if (interrupted()) return false;
      forward(prompt.subspan(
          at, std::min<std::size_t>(kPromptBlock, prompt.size() - at)));
    }
    return true;
  }

  std::int64_t choose() {
    const at::Tensor logits =
        model_.logits(hidden_.select(1, hidden_.size(1) - 1))
            .to(at::kCPU, at::kFloat)
            .contiguous();
    const std::int64_t drawn =
        options_.vocabulary > 0
            ? std::min(options_.vocabulary, logits.numel())
            : logits.numel();
    return sampler_.next({logits.const_data_ptr<float>(),
                          static_cast<std::size_t>(drawn)},
                         seen_);
  }

  // False when the answer ends with this token.
  bool take(std::int64_t id) {
    if (std::ranges::count(options_.stop_tokens, id) != 0) {
      out_.end = GenerationEnd::StopToken;
      return false;
    }
    seen_.push_back(id);
    out_.tokens.push_back(id);
    if (!options_.on_token || options_.on_token(id)) return true;
    out_.end = GenerationEnd::Interrupted;
    return false;
  }

  void decode() {
    while (std::cmp_less(out_.tokens.size(), options_.max_new_tokens)) {
      if (interrupted()) {
        out_.end = GenerationEnd::Interrupted;
        return;
      }
      const std::int64_t id = choose();
      if (!take(id)) return;
      if (cache_.length() == cache_.capacity()) {
        out_.end = GenerationEnd::ContextFull;
        return;
      }
      forward({&id, 1});
      ++out_.decode_steps;
    }
    out_.end = GenerationEnd::MaxTokens;
  }

  Decoder& model_;
  KvCache& cache_;
  const GenerationOptions& options_;
  Sampler sampler_;
  std::vector<std::int64_t> seen_;
  at::Tensor hidden_;
  Generation out_;
};

}  // namespace

Generation generate(Decoder& model,
                    KvCache& cache,
                    std::span<const std::int64_t> prompt,
                    const GenerationOptions& options) {
  const c10::InferenceMode inference;
  check_prompt(cache, static_cast<std::int64_t>(prompt.size()));
  return Run(model, cache, options)(prompt);
}

}  // namespace mantissa
