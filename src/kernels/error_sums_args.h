#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"

namespace mantissa::kernels {

/// What one row of `error_sums` comes to.
struct RowErrorSums {
  double signal;     ///< sum of x^2
  double noise;      ///< sum of (x - y)^2
  double max_error;  ///< largest |x - y|
  double max_x;      ///< largest |x|
};

/// Rows of x and of what should be equal to it, y; any alignment.
struct ErrorSumsArgs {
  const void* x = nullptr;  ///< [rows, columns]
  const void* y = nullptr;  ///< [rows, columns]
  int64_t rows = 0;
  int64_t columns = 0;
  RowErrorSums* sums = nullptr;  ///< [rows]
};

/// Element i of a row goes to partial sum i % 16; the partial sums are added
/// pairwise. All rows do so: their results are equal to the bit.
inline constexpr int kErrorLanes = 16;

void run_error_sums_ref(Element type, const ErrorSumsArgs& args);
void run_error_sums_avx2(Element type, const ErrorSumsArgs& args);
void run_error_sums_avx512(Element type, const ErrorSumsArgs& args);

}  // namespace mantissa::kernels
