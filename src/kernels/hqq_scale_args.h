#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// What scales are fitted for.
struct HqqScaleProblem {
  float low = -8.0f;  ///< codes are integers in [low, high], 16 bits at most
  float high = 7.0f;
};

/// Groups that are fitted side by side.
inline constexpr int kHqqLanes = 8;

/// Groups of `group` finite values, one in each lane.
struct HqqScalePanel {
  const float* x = nullptr;  ///< [group, lanes]
  int64_t group = 0;
  int iterations = 1;
  float* scale = nullptr;   ///< [lanes], in: where to start, > 0
  float* change = nullptr;  ///< [iterations], in and out: largest change so far
};

/// Consecutive groups under the scales that were found for them.
struct HqqCodesArgs {
  const float* x = nullptr;  ///< [groups, group], finite
  int64_t groups = 0;
  int64_t group = 0;
  const float* scale = nullptr;  ///< [groups]
  int8_t* codes = nullptr;       ///< [groups, group]
};

void run_hqq_scale_ref(const HqqScaleProblem& problem,
                       const HqqScalePanel& panel);
void run_hqq_scale_avx2(const HqqScaleProblem& problem,
                        const HqqScalePanel& panel);
void run_hqq_scale_avx512(const HqqScaleProblem& problem,
                          const HqqScalePanel& panel);

void run_hqq_codes_ref(const HqqScaleProblem& problem,
                       const HqqCodesArgs& args);
void run_hqq_codes_avx2(const HqqScaleProblem& problem,
                        const HqqCodesArgs& args);
void run_hqq_codes_avx512(const HqqScaleProblem& problem,
                          const HqqCodesArgs& args);

}  // namespace mantissa::kernels
