#include <mantissa/torch/sentence_encoder.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include "torch/models/bert.h"

namespace mantissa {
namespace {

// As sentence-transformers bounds its divisors.
constexpr double kLeastCount = 1e-9;
constexpr double kLeastNorm = 1e-12;

}  // namespace

SentenceEncoder::SentenceEncoder(const BertConfig& bert,
                                 const SentenceConfig& sentence,
                                 c10::ScalarType dtype)
    : config_(bert), sentence_(sentence) {
  stack_ = register_module("bert", std::make_shared<BertStack>(config_, dtype));
}

at::Tensor SentenceEncoder::forward(const at::Tensor& ids,
                                    const at::Tensor& mask) {
  return stack_->forward(ids, mask);
}

at::Tensor SentenceEncoder::pool(const at::Tensor& tokens,
                                 const at::Tensor& mask) const {
  if (sentence_.pooling == Pooling::Cls) return tokens.select(1, 0);
  const at::Tensor kept = mask.unsqueeze(2).to(tokens.scalar_type());
  if (sentence_.pooling == Pooling::Max) {
    return std::get<0>(tokens.masked_fill(kept.eq(0), -1e9).max(1));
  }
  const at::Tensor sum = (tokens * kept).sum(1);
  const at::Tensor count = kept.sum(1).clamp_min(kLeastCount);
  return sum / (sentence_.pooling == Pooling::MeanSqrt ? count.sqrt() : count);
}

at::Tensor SentenceEncoder::embed_batch(
    const std::vector<std::vector<std::int64_t>>& sentences,
    std::size_t begin,
    std::size_t end) {
  std::size_t longest = 0;
  for (std::size_t i = begin; i < end; ++i) {
    longest = std::max(longest, sentences[i].size());
  }
  const at::Tensor ids = at::zeros({static_cast<std::int64_t>(end - begin),
                                    static_cast<std::int64_t>(longest)},
                                   at::kLong);
  const at::Tensor mask = at::zeros(ids.sizes(), at::kLong);
  for (std::size_t i = begin; i < end; ++i) {
    const auto row = static_cast<std::int64_t>(i - begin);
    const auto offset = row * static_cast<std::int64_t>(longest);
    std::ranges::copy(sentences[i],
                      ids.mutable_data_ptr<std::int64_t>() + offset);
    mask[row]
        .narrow(0, 0, static_cast<std::int64_t>(sentences[i].size()))
        .fill_(1);
  }
  const c10::Device device = stack_->parameters().front().device();
  const at::Tensor out =
      pool(forward(ids.to(device), mask.to(device)), mask.to(device))
          .to(at::kFloat);
  if (!sentence_.normalize) return out;
  return out /
         out.square().sum(1, /*keepdim=*/true).sqrt().clamp_min(kLeastNorm);
}

at::Tensor SentenceEncoder::embed(
    const std::vector<std::vector<std::int64_t>>& sentences,
    std::int64_t batch) {
  const c10::InferenceMode inference;
  TORCH_CHECK_VALUE(
      batch >= 1, "embed: batch: expected 1 or more, got ", batch);
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    const auto& ids = sentences[i];
    TORCH_CHECK_VALUE(
        !ids.empty() && std::cmp_less_equal(ids.size(), sentence_.max_length),
        "embed: sentence ",
        i,
        ": expected 1 to ",
        sentence_.max_length,
        " tokens, got ",
        ids.size());
    for (const std::int64_t id : ids) {
      TORCH_CHECK_VALUE(id >= 0 && id < config_.vocabulary,
                        "embed: sentence ",
                        i,
                        ": expected ids in [0, ",
                        config_.vocabulary,
                        "), got ",
                        id);
    }
  }
  std::vector<at::Tensor> parts = {at::zeros({0, config_.hidden})};
  const auto step = static_cast<std::size_t>(batch);
  for (std::size_t at = 0; at < sentences.size(); at += step) {
    const std::size_t end = std::min(at + step, sentences.size());
    parts.push_back(embed_batch(sentences, at, end).cpu());
  }
  return at::cat(parts);
}

}  // namespace mantissa
