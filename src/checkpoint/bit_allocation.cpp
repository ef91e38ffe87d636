#include "checkpoint/bit_allocation.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace mantissa {
namespace {

using Options = std::vector<BitOption>;

// Cost saved for each byte more.
double slope(const BitOption& from, const BitOption& to) {
  return (from.cost - to.cost) / static_cast<double>(to.bytes - from.bytes);
}

// Indices of the options on the lower convex hull, by rising bytes: each saves
// cost, and less a byte than the one before it.
std::vector<std::size_t> hull_of(const Options& options) {
  std::vector<std::size_t> order(options.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::tuple(options[a].bytes, options[a].cost, a) <
           std::tuple(options[b].bytes, options[b].cost, b);
  });
  std::vector<std::size_t> hull;
  for (const std::size_t i : order) {
    const BitOption& next = options[i];
    if (!hull.empty() && next.cost >= options[hull.back()].cost) continue;
    while (hull.size() > 1 &&
           slope(options[hull[hull.size() - 2]], options[hull.back()]) <=
               slope(options[hull.back()], next)) {
      hull.pop_back();
    }
    // An equal size with less cost stands before this one in `order`.
    hull.push_back(i);
  }
  return hull;
}

struct Step {
  double saved;  // cost a byte
  std::size_t tensor;
  std::size_t to;  // index in the tensor's hull
};

}  // namespace

std::int64_t least_bytes(std::span<const Options> tensors) {
  std::int64_t bytes = 0;
  for (const Options& options : tensors) {
    bytes += std::ranges::min(options, {}, &BitOption::bytes).bytes;
  }
  return bytes;
}

std::vector<std::size_t> allocate_bits(std::span<const Options> tensors,
                                       std::int64_t budget) {
  std::vector<std::size_t> chosen;
  std::vector<Step> steps;
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const std::vector<std::size_t> hull = hull_of(tensors[t]);
    chosen.push_back(hull.front());
    budget -= tensors[t][hull.front()].bytes;
    for (std::size_t h = 1; h < hull.size(); ++h) {
      steps.push_back(
          {slope(tensors[t][hull[h - 1]], tensors[t][hull[h]]), t, hull[h]});
    }
  }
  // Steps of one tensor fall in what they save, so they come in their order.
  std::ranges::stable_sort(steps, std::ranges::greater(), &Step::saved);
  std::vector<bool> stopped(tensors.size(), false);
  for (const Step& step : steps) {
    const Options& options = tensors[step.tensor];
    const std::int64_t more =
        options[step.to].bytes - options[chosen[step.tensor]].bytes;
    if (stopped[step.tensor] || more > budget) {
      stopped[step.tensor] = true;
      continue;
    }
    chosen[step.tensor] = step.to;
    budget -= more;
  }
  // What is left may still pay for an option beside the hull.
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const Options& options = tensors[t];
    std::size_t best = chosen[t];
    for (std::size_t i = 0; i < options.size(); ++i) {
      if (options[i].bytes - options[chosen[t]].bytes <= budget &&
          options[i].cost < options[best].cost) {
        best = i;
      }
    }
    budget -= options[best].bytes - options[chosen[t]].bytes;
    chosen[t] = best;
  }
  return chosen;
}

}  // namespace mantissa
