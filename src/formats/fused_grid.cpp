#include "formats/fused_grid.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "formats/dense_slice.h"
#include "formats/fields.h"
#include "formats/fused_tensor.h"

namespace mantissa {
namespace {

constexpr HostTensor LowbitGrid::*kGridParts[] = {&LowbitGrid::codes,
                                                  &LowbitGrid::scale,
                                                  &LowbitGrid::zero,
                                                  &LowbitGrid::offset,
                                                  &LowbitGrid::factor,
                                                  &LowbitGrid::offset_factor};

}  // namespace

LowbitGrid fused_grid(const Encoding& encoding,
                      const kernels::LowbitLayout& layout,
                      std::span<const ConstTensorView> fields) {
  const Encoding& matrix = one_matrix(encoding);
  kernels::LowbitLayout one = layout;
  one.n = matrix.shape()[0];
  std::vector<LowbitGrid> grids;
  for (std::int64_t i = 0; i < layout.n / one.n; ++i) {
    grids.push_back(lowbit_grid_of(matrix, one, fused_fields(fields, i)));
  }
  LowbitGrid out;
  for (HostTensor LowbitGrid::*const part : kGridParts) {
    std::vector<HostTensor> parts;
    for (const LowbitGrid& grid : grids) parts.push_back(grid.*part);
    out.*part = joined(parts, {layout.n, parts.front().shape().back()});
  }
  return out;
}

std::vector<HostTensor> fused_kept_fields(
    const Encoding& encoding, std::span<const ConstTensorView> fields) {
  std::vector<HostTensor> out;
  for (std::int64_t i = 0; i < fused_count(encoding); ++i) {
    std::ranges::move(
        lowbit_kept_fields(one_matrix(encoding), fused_fields(fields, i)),
        std::back_inserter(out));
  }
  return out;
}

std::vector<HostTensor> fused_stored_fields(const Encoding& encoding,
                                            const LowbitGrid& grid,
                                            std::vector<HostTensor> kept) {
  const Encoding& matrix = one_matrix(encoding);
  const std::int64_t count = fused_count(encoding);
  const std::size_t each = kept.size() / static_cast<std::size_t>(count);
  std::vector<std::vector<HostTensor>> stored;  // [fields][matrices]
  for (std::int64_t i = 0; i < count; ++i) {
    LowbitGrid one;
    for (HostTensor LowbitGrid::*const part : kGridParts) {
      const HostTensor& all = grid.*part;
      if (all.numel() == 0) continue;
      const Shape shape = {count, matrix.shape()[0], all.shape().back()};
      one.*part =
          fields::copied(select_dense({all.dtype(), shape, all.data()}, i));
    }
    const auto first = kept.begin() + i * static_cast<std::ptrdiff_t>(each);
    auto of_one = lowbit_stored_fields(
        matrix,
        std::move(one),
        {first, first + static_cast<std::ptrdiff_t>(each)});
    stored.resize(of_one.size());
    for (std::size_t f = 0; f < of_one.size(); ++f) {
      stored[f].push_back(std::move(of_one[f]));
    }
  }
  const std::vector<FieldLayout> layouts = encoding.fields();
  std::vector<HostTensor> out;
  for (std::size_t f = 0; f < stored.size(); ++f) {
    out.push_back(joined(stored[f], layouts[f].shape));
  }
  return out;
}

}  // namespace mantissa
