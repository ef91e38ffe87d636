#pragma once

#include <span>
#include <string>
#include <vector>

#include <mantissa/formats/encoding.h>

#include "kernels/lowbit_layout.h"

namespace mantissa {

// What the formats' fields are to the runtime layout of low-bit products
// (LowbitWeight).

/// Codes, scales and zero points of a weight, each in its stored dtype.
struct LowbitGrid {
  /// int8 [N, K]: float8 with the sign bit flipped. Empty where the first field
  /// is that, see codes_of().
  HostTensor codes;
  HostTensor scale;  ///< [N, G]
  HostTensor zero;   ///< int8 [N, G]; empty: there is none
  /// Float zero points, of the scale's dtype [N, G]; empty: there are none.
  HostTensor offset = HostTensor();
  /// Two levels of scales: what a group multiplies scale and offset with, whose
  /// columns are super-blocks then, int8 [N, G].
  HostTensor factor = HostTensor();
  HostTensor offset_factor = HostTensor();
};

/// "" and the layout, or why a weight of this encoding has none.
std::string lowbit_layout_of(const Encoding& encoding,
                             kernels::LowbitLayout& out);

kernels::LowbitCode lowbit_code_of(const Encoding& encoding);

/// Whether its zero points are floats, beside the scales.
bool has_lowbit_offsets(const Encoding& encoding);

/// Of an encoding that has `layout`.
LowbitGrid lowbit_grid_of(const Encoding& encoding,
                          const kernels::LowbitLayout& layout,
                          std::span<const ConstTensorView> fields);

/// The codes of a grid of these fields, without a copy of them.
ConstTensorView codes_of(const LowbitGrid& grid,
                         std::span<const ConstTensorView> fields);

/// Copies of the fields that a grid has no place for.
std::vector<HostTensor> lowbit_kept_fields(
    const Encoding& encoding, std::span<const ConstTensorView> fields);

/// The way back: the fields from a grid, whose zero points and offsets are
/// there, and what lowbit_kept_fields() copied.
std::vector<HostTensor> lowbit_stored_fields(const Encoding& encoding,
                                             LowbitGrid grid,
                                             std::vector<HostTensor> kept);

}  // namespace mantissa
