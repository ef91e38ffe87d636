#include "primitives/torch_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace mantissa {
namespace {

constexpr std::size_t kRows = 4;    // independent sums per lane
constexpr std::size_t kLevels = 4;  // of the cascade

template <std::size_t kWidth>
using Sums = std::array<float, kWidth>;

template <std::size_t kWidth>
void add(Sums<kWidth>& to, const float* from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

// Every 2^power additions the sums move up one level.
std::size_t level_power(std::size_t steps) {
  const std::size_t log2 = steps < 2 ? 0 : std::bit_width(steps - 1);
  return std::max<std::size_t>(4, log2 / kLevels);
}

// Sums `steps` rows of kWidth values.
template <std::size_t kWidth>
Sums<kWidth> cascade(const float* values, std::size_t steps) {
  const std::size_t power = level_power(steps);
  const std::size_t period = std::size_t{1} << power;
  std::array<Sums<kWidth>, kLevels> sums{};
  std::size_t i = 0;
  while (i + period <= steps) {
    for (std::size_t j = 0; j < period; ++j, ++i) {
      add<kWidth>(sums[0], values + i * kWidth);
    }
    for (std::size_t level = 1; level < kLevels; ++level) {
      add<kWidth>(sums[level], sums[level - 1].data());
      sums[level - 1] = {};
      if ((i & ((period - 1) << (level * power))) != 0) break;
    }
  }
  for (; i < steps; ++i) add<kWidth>(sums[0], values + i * kWidth);
  for (std::size_t level = 1; level < kLevels; ++level) {
    add<kWidth>(sums[0], sums[level].data());
  }
  return sums[0];
}

template <std::size_t kLanes>
float sum(std::span<const float> values) {
  const std::size_t vectors = values.size() / kLanes;
  const std::size_t steps = vectors / kRows;
  auto rows = cascade<kRows * kLanes>(values.data(), steps);
  for (std::size_t v = steps * kRows; v < vectors; ++v) {
    for (std::size_t i = 0; i < kLanes; ++i) rows[i] += values[v * kLanes + i];
  }
  for (std::size_t row = 1; row < kRows; ++row) {
    for (std::size_t i = 0; i < kLanes; ++i) rows[i] += rows[row * kLanes + i];
  }
  float total = 0.0f;
  for (std::size_t i = vectors * kLanes; i < values.size(); ++i) {
    total += values[i];
  }
  for (std::size_t i = 0; i < kLanes; ++i) total += rows[i];
  return total;
}

}  // namespace

float torch_sum(std::span<const float> values) {
  return values.size() < 8 ? sum<1>(values) : sum<8>(values);
}

float torch_outer_sum(std::span<const float> values) {
  return cascade<1>(values.data(), values.size())[0];
}

}  // namespace mantissa
