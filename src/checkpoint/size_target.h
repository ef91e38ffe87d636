#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/plan.h"

namespace mantissa {

/// How large the weights of an output may be: one of the two.
struct SizeTarget {
  std::int64_t bytes = 0;      ///< of all shards together, or 0
  double bits_per_weight = 0;  ///< over all weights, quantized or not
  std::string words;           ///< what the user said: "--target-size 91.7MB"
};

/// The plan that stays within a size with the least predicted loss.
///
/// Every weight that no rule names (of Linears, of experts, an untied head and,
/// where the dialect stores it, the embedding) is tried in the dialect's
/// formats: sampled rows are encoded and decoded, and the squared error is
/// divided by the squared weights. That error times the sensitivity of the
/// weight's kind (weight_sensitivity.h) is what it is expected to add to the
/// Kullback-Leibler divergence of the output; the sum is made small within the
/// size (bit_allocation.h). Needs no data and no kind of machine: the same
/// source gives the same plan.
///
/// request.rules holds the user's exceptions; `request` receives what was
/// chosen. Never throws for what it can list in Plan::problems: rules that do
/// not fit, a weight that fits no format, a size that the smallest formats do
/// not reach (with the least that would do). Throws Error(Usage) for a weight
/// whose values no format holds.
Plan make_plan_within(const CheckpointSource& source,
                      const SizeTarget& target,
                      int workers,
                      PlanRequest& request);

}  // namespace mantissa
