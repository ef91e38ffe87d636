#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// What scales and zero points are searched for.
struct SearchAffineProblem {
  Element stored = Element::Bf16;  ///< dtype that a scale is rounded to
  bool symmetric = false;          ///< the zero point stays 0
  int32_t low = -8;                ///< codes are in [low, high]
  int32_t high = 7;
};

/// Groups that are searched side by side.
inline constexpr int kSearchLanes = 8;

/// Groups of `group` finite values, one in each lane.
struct SearchAffinePanel {
  const float* x = nullptr;        ///< [group, lanes]
  const float* weights = nullptr;  ///< [group, lanes], >= 0; null: all are 1
  int64_t group = 0;
  float* scale = nullptr;       ///< [lanes], in: where to start; > 0
  float* zero_point = nullptr;  ///< [lanes], in: integers in [low, high]
  float* error = nullptr;       ///< [lanes], out: weighted squared error
};

void run_search_affine_ref(const SearchAffineProblem& problem,
                           const SearchAffinePanel& panel);
void run_search_affine_avx2(const SearchAffineProblem& problem,
                            const SearchAffinePanel& panel);
void run_search_affine_avx512(const SearchAffineProblem& problem,
                              const SearchAffinePanel& panel);

}  // namespace mantissa::kernels
