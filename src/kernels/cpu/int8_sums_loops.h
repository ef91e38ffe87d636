#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {
namespace {

// Blocks of kRows x kColumns sums by `V::block`, single ones along the edges.
template <class V>
inline void int8_sums(const int8_t* x,
                      const int8_t* w,
                      int64_t k,
                      int64_t rows,
                      int64_t columns,
                      int32_t* sums) {
  constexpr int64_t kColumns = 4;
  for (int64_t j = 0; j < columns; j += kColumns) {
    const int8_t* wj = w + j * k;
    const bool whole = j + kColumns <= columns;
    int64_t i = 0;
    for (; whole && i + V::kRows <= rows; i += V::kRows) {
      V::template block<V::kRows, kColumns>(
          x + i * k, wj, k, columns, sums + i * columns + j);
    }
    for (; i < rows; ++i) {
      int32_t* at = sums + i * columns + j;
      if (whole) {
        V::template block<1, kColumns>(x + i * k, wj, k, columns, at);
        continue;
      }
      for (int64_t c = 0; j + c < columns; ++c) {
        V::template block<1, 1>(x + i * k, wj + c * k, k, columns, at + c);
      }
    }
  }
}

}  // namespace
}  // namespace mantissa::kernels
