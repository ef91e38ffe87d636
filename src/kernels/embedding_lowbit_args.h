#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

#include "kernels/common/element.h"
#include "kernels/linear_lowbit_args.h"

namespace mantissa::kernels {

/// Rows of a weight in the runtime layout, row indices[i] to out[i]: (code -
/// zero) * scale, or the float8 value * scale, in float32; with offsets code *
/// scale + offset rounded once to `values`, the dtype of the weight, which is
/// float32 unless scales have 16 bits. That is rounded half to even to the
/// dtype of `out`. Every kernel gives the same bits, but for the payload of a
/// NaN.
struct EmbeddingLowbitArgs {
  LowbitWeightView w;                     ///< `sums` are not read
  LowbitScale values = LowbitScale::F32;  ///< of sums with offsets
  int64_t columns = 0;  ///< of the weight itself: w.k without what is behind it
  const void* indices = nullptr;  ///< [indices] in [0, w.n), of either type
  int32_t index_bytes = 8;        ///< 8: int64, 4: int32
  Element type = Element::F32;    ///< of `out`
  void* out = nullptr;            ///< [indices, columns], any alignment
};

static inline int64_t embedding_row(const EmbeddingLowbitArgs& args,
                                    int64_t i) {
  return args.index_bytes == 8 ? static_cast<const int64_t*>(args.indices)[i]
                               : static_cast<const int32_t*>(args.indices)[i];
}

/// Indices [begin, end).
void run_embedding_lowbit_ref(const EmbeddingLowbitArgs& args,
                              int64_t begin,
                              int64_t end);
void run_embedding_lowbit_avx2(const EmbeddingLowbitArgs& args,
                               int64_t begin,
                               int64_t end);
void run_embedding_lowbit_avx512(const EmbeddingLowbitArgs& args,
                                 int64_t begin,
                                 int64_t end);

}  // namespace mantissa::kernels
