#pragma once

// Rows of quantize_panels one at a time, for its instruction-set files. Only C
// headers here.
#include <stdint.h>
#include <string.h>

#include "kernels/linear_lowbit_args.h"
#include "kernels/quantize_panels_args.h"

namespace mantissa::kernels {
namespace {

constexpr int32_t kInfinityBits = 0x7f800000;
constexpr int32_t kNaNBits = 0x7fc00000;

/// Where the parts of one row stand.
struct PanelRow {
  const float* x;  // null behind m
  int8_t* codes;
  int32_t* sums;
  int32_t* half_sums;
  float* scales;
};

inline PanelRow panel_row(const QuantizePanelsArgs& args, int64_t i) {
  const int64_t chunks = (args.k + kLowbitChunk - 1) / kLowbitChunk;
  const int64_t groups = (args.k + args.group - 1) / args.group;
  const int64_t panel = i / args.panel;
  const int64_t row = i % args.panel;
  return {i < args.m ? args.x + i * args.x_stride : nullptr,
          args.codes + panel * chunks * kLowbitChunk * args.panel + row * 4,
          args.sums + panel * chunks * args.panel + row,
          args.half_sums + panel * 2 * chunks * args.panel + row,
          args.scales + panel * groups * args.panel + row};
}

// Codes of 0 and one scale.
inline void fill_panel_row(const QuantizePanelsArgs& args,
                           const PanelRow& row,
                           float scale) {
  const int64_t chunks = (args.k + kLowbitChunk - 1) / kLowbitChunk;
  const int64_t groups = (args.k + args.group - 1) / args.group;
  for (int64_t g = 0; g < groups; ++g) row.scales[g * args.panel] = scale;
  for (int64_t c = 0; c < chunks; ++c) {
    row.sums[c * args.panel] = 0;
    row.half_sums[2 * c * args.panel] = 0;
    row.half_sums[(2 * c + 1) * args.panel] = 0;
  }
  for (int64_t u = 0; u < chunks * (kLowbitChunk / 4); ++u) {
    memset(row.codes + u * args.panel * 4, 0, 4);
  }
}

inline float float_of_bits(int32_t bits) {
  float out;
  memcpy(&out, &bits, sizeof(out));
  return out;
}

}  // namespace
}  // namespace mantissa::kernels
