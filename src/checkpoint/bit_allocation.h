#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mantissa {

/// One way to store a tensor.
struct BitOption {
  std::int64_t bytes = 0;
  double cost = 0;  ///< how much it hurts; any unit, the same for all tensors
};

/// The fewest bytes that one option of each tensor takes together.
std::int64_t least_bytes(std::span<const std::vector<BitOption>> tensors);

/// For each tensor the index of one of its options, so that the bytes stay
/// within `budget` and the sum of costs is small: from the smallest options on,
/// the step along the lower convex hull of a tensor that saves most cost a byte
/// is taken while it fits (the greedy solution of the multiple-choice knapsack,
/// whose gap to the optimum is at most one step), and what is left over goes to
/// single options that still fit. The same input gives the same answer.
/// `budget` is at least least_bytes(); every tensor has an option.
std::vector<std::size_t> allocate_bits(
    std::span<const std::vector<BitOption>> tensors, std::int64_t budget);

}  // namespace mantissa
