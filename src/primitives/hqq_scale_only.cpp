#include <mantissa/primitives/hqq_scale_only.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>

#include "primitives/argument_checks.h"
#include "primitives/elements.h"
#include "primitives/torch_sum.h"

namespace mantissa {
namespace {

constexpr const char* kOp = "choose_qparams_and_quantize_scale_only_hqq";
constexpr float kEps = 0x1p-23f;  // epsilon of float32

struct Groups {
  std::int64_t count;
  std::int64_t size;
};

Groups check_arguments(const ConstTensorView& input,
                       const Shape& block_size,
                       IntegerRange range) {
  check_float_dtype(kOp, "input", input.dtype);
  if (input.shape.size() != 2 || block_size.size() != 2 || block_size[0] != 1 ||
      block_size[1] < 1 || input.shape[1] % block_size[1] != 0) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: block_size: expected [1, group] that divides "
                            "a 2-D input, got {} for {}",
                            kOp,
                            to_string(block_size),
                            to_string(input.shape)));
  }
  if (range.min >= range.max || range.min < -32768 || range.max > 32767) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: range: expected min < max within 16 bits, got "
                            "{} and {}",
                            kOp,
                            range.min,
                            range.max));
  }
  return {input.numel() / block_size[1], block_size[1]};
}

std::vector<float> load_finite(const ConstTensorView& input) {
  std::vector<float> values(static_cast<std::size_t>(input.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<float>(load_element(input, static_cast<std::int64_t>(i)));
    if (!std::isfinite(values[i])) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: input: element {} is {}; only finite values "
                              "have a scale",
                              kOp,
                              i,
                              values[i]));
    }
  }
  return values;
}

}  // namespace

float hqq_initial_scale(float amax, IntegerRange range) {
  const std::int64_t largest =
      std::max(std::abs(range.min), std::abs(range.max));
  return std::max(amax / static_cast<float>(largest), kEps);
}

float hqq_code(float x, float scale, IntegerRange range) {
  const float steps = x / scale;
  if (std::isnan(steps)) return 0.0f;
  const auto low = static_cast<float>(range.min);
  const auto high = static_cast<float>(range.max);
  // The bounds are integers: clamping first gives the same code.
  return round_half_even(std::min(std::max(steps, low), high));
}

float hqq_next_scale(std::span<const float> group,
                     float scale,
                     IntegerRange range) {
  thread_local std::vector<float> products;
  thread_local std::vector<float> squares;
  products.resize(group.size());
  squares.resize(group.size());
  const auto low = static_cast<float>(range.min);
  const auto high = static_cast<float>(range.max);
  // hqq_code() without branches: adding 1.5 * 2^23 rounds small values, and
  // finite values over a positive scale are never NaN.
  constexpr float kRound = 12582912.0f;
  for (std::size_t i = 0; i < group.size(); ++i) {
    float code = group[i] / scale;
    code = code < low ? low : code;
    code = high < code ? high : code;
    code = (code + kRound) - kRound;
    products[i] = group[i] * code;
    squares[i] = code * code;
  }
  const float square = torch_sum(squares);
  if (!(square > 0.0f)) return std::max(scale, kEps);
  return std::max(torch_sum(products) / square, kEps);
}

float hqq_relative_change(float scale, float next) {
  return std::fabs(next - scale) / std::max(scale, kEps);
}

ScaleOnlyHqq choose_qparams_and_quantize_scale_only_hqq(
    ConstTensorView input,
    const Shape& block_size,
    IntegerRange range,
    const ScaleOnlyHqqOptions& options) {
  const Groups groups = check_arguments(input, block_size, range);
  const std::vector<float> values = load_finite(input);
  const auto group = [&](std::int64_t g) {
    return std::span(values).subspan(static_cast<std::size_t>(g * groups.size),
                                     static_cast<std::size_t>(groups.size));
  };
  std::vector<float> scales;
  for (std::int64_t g = 0; g < groups.count; ++g) {
    float amax = 0.0f;
    for (const float x : group(g)) amax = std::max(amax, std::fabs(x));
    scales.push_back(hqq_initial_scale(amax, range));
  }
  for (int i = 0; i < std::max(options.iterations, 1); ++i) {
    float change = 0.0f;
    for (std::int64_t g = 0; g < groups.count; ++g) {
      float& scale = scales[static_cast<std::size_t>(g)];
      const float next = hqq_next_scale(group(g), scale, range);
      change = std::max(change, hqq_relative_change(scale, next));
      scale = next;
    }
    if (change < options.early_stop_tolerance) break;
  }
  ScaleOnlyHqq out{
      HostTensor(DType::Int32, input.shape),
      HostTensor(input.dtype, {input.shape[0], input.shape[1] / groups.size})};
  for (std::int64_t i = 0; i < input.numel(); ++i) {
    const float scale = scales[static_cast<std::size_t>(i / groups.size)];
    store_element(out.qdata,
                  i,
                  hqq_code(values[static_cast<std::size_t>(i)], scale, range));
  }
  for (std::int64_t g = 0; g < groups.count; ++g) {
    store_element(out.scale,
                  g,
                  round_to(input.dtype, scales[static_cast<std::size_t>(g)]));
  }
  return out;
}

}  // namespace mantissa
