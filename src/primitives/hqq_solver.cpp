#include "primitives/hqq_solver.h"

#include <algorithm>
#include <cmath>

#include <mantissa/primitives/rounding.h>

#include "primitives/torch_sum.h"

namespace mantissa {
namespace {

constexpr float kMaxScale = 2e4f;  // torchao's bound, once for float16's sake
constexpr float kPower = -0.3f;    // lp_norm - 1
constexpr std::size_t kLanes = 8;  // running sums of the error

// Below this distance the shrinkage gives 0: it subtracts |d|^-0.3 / beta,
// beta <= 10 * 1.01^20 < 12.3, and 0.125^-0.3 / 12.3 = 0.152 > 0.125.
constexpr float kShrinksToZero = 0.125f;

float mean(const std::vector<float>& x, HqqSumOrder order) {
  const float sum =
      order == HqqSumOrder::Inner ? torch_sum(x) : torch_outer_sum(x);
  return sum / static_cast<float>(x.size());
}

// sign(d) * relu(|d| - |d|^(lp_norm - 1) / beta)
float shrink(float d, float inverse_beta) {
  const float size = std::abs(d);
  if (size <= kShrinksToZero) return 0.0f;
  // The power in float64, so that the float32 result is the nearest one.
  const auto power = static_cast<float>(
      std::pow(static_cast<double>(size), static_cast<double>(kPower)));
  const float rest = std::max(size - inverse_beta * power, 0.0f);
  return d < 0.0f ? -rest : rest;
}

// A code before it is rounded, kept where round-and-clamp and clamp-and-round
// agree.
float code_of(float w, const HqqGroup& group, float max_code) {
  float code = w * group.scale + group.zero;
  code = code > 0.0f ? code : 0.0f;
  code = code < max_code ? code : max_code;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: the adder rounds
  return (code + kRounder) - kRounder;
}

}  // namespace

HqqGroup hqq_start(float min, float max, int bits) {
  const auto max_code = static_cast<float>((1 << bits) - 1);
  // torch divides a number by a tensor as reciprocal, then product.
  const float scale = std::min((1.0f / (max - min)) * max_code, kMaxScale);
  const float zero = -min * scale;
  if (!std::isfinite(zero)) return {1.0f, -min};
  return {scale, bits == 4 ? round_half_even(zero) : zero};
}

void hqq_codes(std::span<const float> w,
               const HqqGroup& group,
               float max_code,
               float* codes) {
  for (const float value : w) *codes++ = code_of(value, group, max_code);
}

HqqStep hqq_step(std::span<const float> w,
                 float max_code,
                 float inverse_beta,
                 HqqSumOrder order,
                 HqqGroup& group,
                 std::vector<float>& work) {
  const HqqGroup before = group;
  work.resize(w.size());
  float* const terms = work.data();
  double error[kLanes] = {};
  float farthest = 0.0f;
  for (std::size_t i = 0; i < w.size(); ++i) {
    const float code = code_of(w[i], before, max_code);
    const float distance = std::abs(w[i] - (code - before.zero) / before.scale);
    terms[i] = code - w[i] * before.scale;
    error[i % kLanes] += static_cast<double>(distance);
    farthest = distance > farthest ? distance : farthest;
  }
  HqqStep step;
  step.shrinks = farthest > kShrinksToZero;
  if (step.shrinks) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const float code = code_of(w[i], before, max_code);
      const float d = w[i] - (code - before.zero) / before.scale;
      terms[i] = code - (w[i] - shrink(d, inverse_beta)) * before.scale;
    }
  }
  group.zero = mean(work, order);
  for (const double lane : error) step.error += lane;
  return step;
}

std::size_t hqq_iterate(std::span<const float> w,
                        float max_code,
                        HqqSumOrder order,
                        HqqGroup& group,
                        std::span<double> errors,
                        std::vector<float>& work) {
  HqqBeta beta;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    const float before = group.zero;
    const HqqStep step =
        hqq_step(w, max_code, beta.inverse(), order, group, work);
    errors[i] += step.error;
    if (group.zero == before && !step.shrinks) {
      for (double& later : errors.subspan(i + 1)) later += step.error;
      return i;
    }
    beta.grow();
  }
  return errors.size();
}

void HqqSchedule::finish_iteration(double error, std::int64_t elements) {
  // torch keeps the mean as float32 before it compares.
  const auto mean_error =
      static_cast<float>(error / static_cast<double>(elements));
  left_ -= 1;
  if (static_cast<double>(mean_error) < best_error_) {
    best_error_ = static_cast<double>(mean_error);
  } else {
    left_ = 0;
  }
}

}  // namespace mantissa
