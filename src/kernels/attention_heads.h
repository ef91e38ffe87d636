#pragma once

// Only C headers here: instruction-set files include this.
#include <stdint.h>

namespace mantissa::kernels {

/// Where a tensor [batch, heads, positions, head_dim] has its rows, in
/// elements; those of a row follow each other.
struct AttentionStrides {
  int64_t batch = 0;
  int64_t head = 0;
  int64_t position = 0;
};

/// A head of a batch.
struct AttentionHead {
  int64_t batch = 0;
  int64_t head = 0;
};

}  // namespace mantissa::kernels
