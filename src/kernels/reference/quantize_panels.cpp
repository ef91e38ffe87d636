#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/linear_lowbit_args.h"
#include "kernels/quantize_panels_args.h"

namespace mantissa::kernels {
namespace {

// Where the parts of one row stand.
struct Row {
  const float* x;  // null behind m
  std::int8_t* codes;
  std::int32_t* sums;
  std::int32_t* half_sums;
  float* scales;
};

void set_row(const QuantizePanelsArgs& args, const Row& row) {
  const std::int64_t chunks = (args.k + kLowbitChunk - 1) / kLowbitChunk;
  const std::int64_t groups = (args.k + args.group - 1) / args.group;
  const bool finite =
      row.x != nullptr && std::all_of(row.x, row.x + args.k, [](float v) {
        return std::isfinite(v);
      });
  const float missing =
      row.x == nullptr ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  for (std::int64_t g = 0; g < groups; ++g) {
    float most = 0;
    const std::int64_t end = std::min((g + 1) * args.group, args.k);
    for (std::int64_t k = g * args.group; finite && k < end; ++k) {
      most = std::max(most, std::fabs(row.x[k]));
    }
    row.scales[g * args.panel] =
        finite ? std::max(most / 127.0f, kLeastPanelScale) : missing;
  }
  for (std::int64_t c = 0; c < chunks; ++c) {
    row.sums[c * args.panel] = 0;
    row.half_sums[2 * c * args.panel] = 0;
    row.half_sums[(2 * c + 1) * args.panel] = 0;
  }
  for (std::int64_t k = 0; k < chunks * kLowbitChunk; ++k) {
    std::int8_t code = 0;
    if (finite && k < args.k) {
      const float inverse = 1.0f / row.scales[k / args.group * args.panel];
      code = static_cast<std::int8_t>(std::nearbyint(row.x[k] * inverse));
    }
    row.codes[k / 4 * 4 * args.panel + k % 4] = code;
    row.sums[k / kLowbitChunk * args.panel] += code;
    row.half_sums[k / kLowbitHalf * args.panel] += code;
  }
}

}  // namespace

void run_quantize_panels_ref(const QuantizePanelsArgs& args,
                             int64_t begin,
                             int64_t end) {
  const std::int64_t chunks = (args.k + kLowbitChunk - 1) / kLowbitChunk;
  const std::int64_t groups = (args.k + args.group - 1) / args.group;
  for (std::int64_t i = begin * args.panel; i < end * args.panel; ++i) {
    const std::int64_t panel = i / args.panel;
    const std::int64_t row = i % args.panel;
    set_row(args,
            {i < args.m ? args.x + i * args.x_stride : nullptr,
             args.codes + panel * chunks * kLowbitChunk * args.panel + row * 4,
             args.sums + panel * chunks * args.panel + row,
             args.half_sums + panel * 2 * chunks * args.panel + row,
             args.scales + panel * groups * args.panel + row});
  }
}

}  // namespace mantissa::kernels
