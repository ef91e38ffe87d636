#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/plan.h"

namespace mantissa {

/// How large the weights of an output may be.
struct SizeTarget {
  std::int64_t bytes =
      0;  ///< of all shards together; 0: bits_per_weight counts
  double bits_per_weight = 0;  ///< over all weights, quantized or not
  std::string words;           ///< what the user said: "--target-size 91.7MB"
};

/// The plan that stays within a size with the least predicted loss.
///
/// Every weight that no rule names (Linear weights, an untied head and, where
/// the dialect stores embeddings, the embedding) gets one of the formats of
/// size_options(). The error of each is measured: sampled rows are encoded and
/// decoded, and the squared error is divided by the squared weights. That error
/// times the sensitivity of the weight's kind (weight_sensitivity.h) is what it
/// is expected to add to the Kullback-Leibler divergence of the output; the sum
/// is made small within the size (bit_allocation.h). Needs no data and no
/// machine of a kind: the same source gives the same plan.
///
/// request.rules holds the user's exceptions; `request` receives what was
/// chosen (PlanRequest::chosen). Throws PlanRefused for what cannot run,
/// Error(Usage) when the smallest formats are too large, naming the least size
/// that fits.
Plan make_plan_within(const CheckpointSource& source,
                      const SizeTarget& target,
                      int workers,
                      PlanRequest& request);

}  // namespace mantissa
