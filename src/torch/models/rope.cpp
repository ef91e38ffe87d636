#include "torch/models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

namespace mantissa {
namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// theta^(2i / d) for i in [0, d / 2)
at::Tensor periods(const RopeConfig& config, std::int64_t head_dim) {
  const at::Tensor steps =
      at::arange(0, head_dim, 2, at::kFloat).div(static_cast<double>(head_dim));
  return at::pow(config.theta, steps);
}

// Wave lengths above original / low divide by the factor, those below original
// / high stay, between them a line.
at::Tensor llama3(const RopeConfig& c, const at::Tensor& inverse) {
  const at::Tensor length = inverse.reciprocal().mul(kTwoPi);
  const double low = c.original_positions / c.low_freq_factor;
  const double high = c.original_positions / c.high_freq_factor;
  const at::Tensor out = at::where(length > low, inverse / c.factor, inverse);
  const at::Tensor smooth =
      (length.reciprocal().mul(c.original_positions) - c.low_freq_factor) /
      (c.high_freq_factor - c.low_freq_factor);
  const at::Tensor mixed = (1 - smooth) * out / c.factor + smooth * out;
  return at::where((length >= high).logical_and(length <= low), mixed, out);
}

// The dimension that turns `rotations` times over the trained context.
double turning_dim(const RopeConfig& c, double head_dim, double rotations) {
  return head_dim * std::log(c.original_positions / (rotations * kTwoPi)) /
         (2 * std::log(c.theta));
}

at::Tensor yarn(const RopeConfig& c,
                const at::Tensor& periods,
                std::int64_t head_dim) {
  const auto width = static_cast<double>(head_dim);
  double low = turning_dim(c, width, c.beta_fast);
  double high = turning_dim(c, width, c.beta_slow);
  if (c.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, width - 1);
  if (low == high) high += 0.001;  // no division by zero
  const at::Tensor ramp = at::clamp(
      (at::arange(head_dim / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor kept = 1 - ramp;
  return periods.mul(c.factor).reciprocal() * (1 - kept) +
         periods.reciprocal() * kept;
}

double mscale(double factor, double scale) {
  return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

double yarn_factor(const RopeConfig& c) {
  if (c.attention_factor) return *c.attention_factor;
  if (c.mscale != 0 && c.mscale_all_dim != 0) {
    return mscale(c.factor, c.mscale) / mscale(c.factor, c.mscale_all_dim);
  }
  return mscale(c.factor, 1);
}

}  // namespace

Rope::Rope(const RopeConfig& config, std::int64_t head_dim) {
  const at::Tensor base = periods(config, head_dim);
  inverse_ = base.reciprocal();
  switch (config.type) {
    case RopeType::Default:
      break;
    case RopeType::Linear:
      inverse_ = inverse_ / config.factor;
      break;
    case RopeType::Llama3:
      inverse_ = llama3(config, inverse_);
      break;
    case RopeType::Yarn:
      inverse_ = yarn(config, base, head_dim);
      factor_ = yarn_factor(config);
      break;
  }
}

RopeAngles Rope::angles(std::int64_t begin,
                        std::int64_t count,
                        const at::TensorOptions& options) const {
  const at::Tensor inverse = inverse_.to(options.device());
  const at::Tensor positions =
      at::arange(begin, begin + count, inverse.options());
  const at::Tensor half = at::outer(positions, inverse);  // [T, head_dim / 2]
  const at::Tensor angle = at::cat({half, half}, -1);
  return {angle.cos().mul(factor_).to(options.dtype().toScalarType()),
          angle.sin().mul(factor_).to(options.dtype().toScalarType())};
}

at::Tensor rotate(const at::Tensor& x, const RopeAngles& angles) {
  const std::int64_t half = x.size(-1) / 2;
  const at::Tensor turned =
      at::cat({x.narrow(-1, half, half).neg(), x.narrow(-1, 0, half)}, -1);
  return x * angles.cos + turned * angles.sin;
}

}  // namespace mantissa
