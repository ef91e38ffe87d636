#include <mantissa/torch/sampling.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

constexpr double kOut = -std::numeric_limits<double>::infinity();

void require(bool holds, const char* name, const char* range, double value) {
  if (holds) return;
  throw Error(
      ErrorKind::Usage,
      fmt::format("sampling: {}: expected {}, got {}", name, range, value));
}

void penalize(std::vector<double>& logits,
              std::span<const std::int64_t> seen,
              double penalty) {
  if (penalty == 1) return;
  std::unordered_set<std::int64_t> done;
  for (const std::int64_t id : seen) {
    if (id < 0 || std::cmp_greater_equal(id, logits.size())) continue;
    if (!done.insert(id).second) continue;
    double& logit = logits[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

// Everything below the k-th best goes out; equals of it stay.
void keep_top_k(std::vector<double>& logits, std::int64_t k) {
  if (k <= 0 || std::cmp_greater_equal(k, logits.size())) return;
  std::vector<double> sorted = logits;
  const auto kth = sorted.begin() + (k - 1);
  std::ranges::nth_element(sorted, kth, std::greater<>());
  const double least = *kth;
  for (double& logit : logits) {
    if (logit < least) logit = kOut;
  }
}

std::vector<double> softmax(const std::vector<double>& logits) {
  const double best = std::ranges::max(logits);
  std::vector<double> out;
  out.reserve(logits.size());
  double sum = 0;
  for (const double logit : logits) {
    out.push_back(std::exp(logit - best));
    sum += out.back();
  }
  for (double& value : out) value /= sum;
  return out;
}

// A token stays while those before it, best first, sum to less than p.
void keep_top_p(std::vector<double>& logits, double p) {
  if (p >= 1) return;
  const std::vector<double> chance = softmax(logits);
  std::vector<std::size_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    return chance[a] > chance[b];
  });
  double before = chance[order.front()];
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (before >= p) logits[order[i]] = kOut;
    before += chance[order[i]];
  }
}

void keep_min_p(std::vector<double>& logits, double p) {
  if (p <= 0) return;
  const double least = std::ranges::max(logits) + std::log(p);
  for (double& logit : logits) {
    if (logit < least) logit = kOut;
  }
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  const SamplingOptions& o = options_;
  require(o.temperature >= 0 && std::isfinite(o.temperature),
          "temperature",
          "0 or more",
          o.temperature);
  require(o.top_k >= 0, "top_k", "0 or more", static_cast<double>(o.top_k));
  require(
      o.top_p > 0 && o.top_p <= 1, "top_p", "more than 0, at most 1", o.top_p);
  require(o.min_p >= 0 && o.min_p <= 1, "min_p", "0 to 1", o.min_p);
  require(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty),
          "repetition_penalty",
          "more than 0",
          o.repetition_penalty);
}

std::vector<double> Sampler::probabilities(
    std::span<const float> logits, std::span<const std::int64_t> seen) const {
  std::vector<double> values(logits.begin(), logits.end());
  for (double& value : values) {
    if (std::isnan(value)) value = kOut;
  }
  penalize(values, seen, options_.repetition_penalty);
  const auto best = std::ranges::max_element(values);
  if (best == values.end() || !std::isfinite(*best)) {
    throw NonfiniteError("sampling: no logit is finite");
  }
  if (options_.temperature == 0) {
    std::vector<double> out(values.size(), 0.0);
    out[static_cast<std::size_t>(best - values.begin())] = 1;
    return out;
  }
  for (double& value : values) value /= options_.temperature;
  keep_top_k(values, options_.top_k);
  keep_top_p(values, options_.top_p);
  keep_min_p(values, options_.min_p);
  return softmax(values);
}

std::int64_t Sampler::next(std::span<const float> logits,
                           std::span<const std::int64_t> seen) {
  const std::vector<double> chance = probabilities(logits, seen);
  const double drawn = philox_uniform(options_.seed, draws_++);
  double sum = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < chance.size(); ++i) {
    if (chance[i] <= 0) continue;
    sum += chance[i];
    last = i;
    if (drawn < sum) break;
  }
  return static_cast<std::int64_t>(last);
}

}  // namespace mantissa
