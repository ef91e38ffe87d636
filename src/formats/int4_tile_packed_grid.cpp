#include "formats/int4_tile_packed_grid.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "formats/fields.h"
#include "kernels/common/tinygemm_tiles.h"

namespace mantissa {
namespace {

using kernels::kTileRows;

enum Field : std::size_t { kQdata, kScaleAndZero };

constexpr int kMiddle = 8;  // the stored code of 0

// Eight times the same code.
std::uint32_t word_of(std::uint8_t code) { return code * 0x11111111u; }

// Calls visit(matrix, row, codes [spanned columns]) for all rows, padding too.
template <class Visit>
void for_each_row(const TilePackedLayout& layout,
                  const std::uint32_t* words,
                  const Visit& visit) {
  const std::int64_t width = layout.spanned_columns();
  std::vector<std::uint8_t> tile(static_cast<std::size_t>(kTileRows * width));
  for (std::int64_t m = 0; m < layout.matrices; ++m) {
    for (std::int64_t row = 0; row < layout.padded_rows; ++row) {
      if (row % kTileRows == 0) {
        kernels::unpack_tinygemm_tile_row(
            words, width, kTileInnerKTiles, tile.data());
        words += layout.padded_columns;
      }
      visit(m, row, tile.data() + row % kTileRows * width);
    }
  }
}

// Index of the parameters of a group of a row.
std::int64_t place(const TilePackedLayout& layout,
                   std::int64_t matrix,
                   std::int64_t row,
                   std::int64_t group) {
  return (matrix * layout.groups() + group) * layout.padded_rows + row;
}

bool same(const ScaleAndZero& a, const ScaleAndZero& b) {
  return a.scale == b.scale && a.zero == b.zero;
}

// Columns of a row and groups of it that are the weight's own.
std::int64_t own_columns(const TilePackedLayout& layout, std::int64_t row) {
  return row < layout.rows ? layout.columns : 0;
}
std::int64_t own_groups(const TilePackedLayout& layout, std::int64_t row) {
  return row < layout.rows ? layout.used_groups() : 0;
}

// Padding that is the same everywhere, or what it was found to be so far.
struct Padding {
  bool uniform = true;
  bool any_code = false;
  bool any_group = false;
  std::uint8_t code = 0;
  ScaleAndZero parameters = {0, 0};

  void see_codes(const std::uint8_t* begin, const std::uint8_t* end) {
    if (begin == end) return;
    if (!any_code) code = *begin;
    any_code = true;
    uniform = uniform && std::all_of(begin, end, [&](std::uint8_t other) {
                return other == code;
              });
  }
  // Of tiles that are padding alone.
  void see_words(const std::uint32_t* begin, const std::uint32_t* end) {
    if (begin == end) return;
    if (!any_code) code = *begin & 15;
    any_code = true;
    uniform = uniform && std::all_of(begin, end, [&](std::uint32_t word) {
                return word == word_of(code);
              });
  }
  void see_group(const ScaleAndZero& found) {
    if (!any_group) parameters = found;
    any_group = true;
    uniform = uniform && same(found, parameters);
  }
};

}  // namespace

TilePackedGrid tile_packed_grid(const TilePackedLayout& layout,
                                std::span<const ConstTensorView> fields) {
  const std::int64_t rows = layout.matrices * layout.rows;
  const Shape grid = {rows, layout.used_groups()};
  TilePackedGrid out{
      HostTensor::uninitialized(DType::Int8, {rows, layout.columns}),
      HostTensor::uninitialized(DType::BFloat16, grid),
      HostTensor::uninitialized(DType::BFloat16, grid)};
  auto* code = out.codes.as<std::int8_t>();
  auto* scale = out.scale.as<std::uint16_t>();
  auto* zero = out.zero.as<std::uint16_t>();
  const auto* parameters = fields[kScaleAndZero].as<ScaleAndZero>();
  for_each_row(layout,
               fields[kQdata].as<std::uint32_t>(),
               [&](std::int64_t m, std::int64_t row, const std::uint8_t* from) {
                 for (std::int64_t k = 0; k < own_columns(layout, row); ++k) {
                   *code++ = static_cast<std::int8_t>(from[k] - kMiddle);
                 }
                 for (std::int64_t g = 0; g < own_groups(layout, row); ++g) {
                   const ScaleAndZero& p = parameters[place(layout, m, row, g)];
                   *scale++ = p.scale;
                   *zero++ = p.zero;
                 }
               });
  return out;
}

std::vector<HostTensor> tile_packed_padding(
    const TilePackedLayout& layout, std::span<const ConstTensorView> fields) {
  Padding found;
  const auto* parameters = fields[kScaleAndZero].as<ScaleAndZero>();
  const auto* words = fields[kQdata].as<std::uint32_t>();
  const std::int64_t tile_rows =
      layout.matrices * layout.padded_rows / kTileRows;
  for (std::int64_t i = 0; i < tile_rows; ++i) {
    const std::uint32_t* row = words + i * layout.padded_columns;
    found.see_words(row + layout.spanned_columns(),
                    row + layout.padded_columns);
  }
  for_each_row(layout,
               words,
               [&](std::int64_t m, std::int64_t row, const std::uint8_t* from) {
                 found.see_codes(from + own_columns(layout, row),
                                 from + layout.spanned_columns());
                 for (std::int64_t g = own_groups(layout, row);
                      g < layout.groups();
                      ++g) {
                   found.see_group(parameters[place(layout, m, row, g)]);
                 }
               });
  if (!found.uniform) {
    return {fields::copied(fields[kQdata]),
            fields::copied(fields[kScaleAndZero])};
  }
  HostTensor code(DType::UInt8, {1});
  HostTensor both(DType::BFloat16, {1, 2});
  *code.as<std::uint8_t>() = found.code;
  *both.as<ScaleAndZero>() = found.parameters;
  return {std::move(code), std::move(both)};
}

std::vector<HostTensor> tile_packed_fields(
    const TilePackedLayout& layout,
    const TilePackedGrid& grid,
    const std::vector<HostTensor>& padding,
    std::span<const Shape> shapes) {
  const HostTensor& kept = padding[kQdata];
  if (kept.dtype() != DType::UInt8) return padding;  // both fields
  HostTensor qdata = HostTensor::uninitialized(DType::Int32, shapes[kQdata]);
  HostTensor both =
      HostTensor::uninitialized(DType::BFloat16, shapes[kScaleAndZero]);
  auto* words = qdata.as<std::uint32_t>();
  auto* parameters = both.as<ScaleAndZero>();
  std::fill_n(parameters,
              layout.matrices * layout.groups() * layout.padded_rows,
              *padding[kScaleAndZero].as<ScaleAndZero>());
  const auto* code = grid.codes.as<std::int8_t>();
  const auto* scale = grid.scale.as<std::uint16_t>();
  const auto* zero = grid.zero.as<std::uint16_t>();
  const std::int64_t width = layout.spanned_columns();
  std::vector<std::uint8_t> tile(static_cast<std::size_t>(kTileRows * width));
  for (std::int64_t i = 0; i < layout.matrices * layout.padded_rows; ++i) {
    const std::int64_t row = i % layout.padded_rows;
    std::uint8_t* to = tile.data() + row % kTileRows * width;
    std::fill_n(to, width, *kept.as<std::uint8_t>());
    for (std::int64_t k = 0; k < own_columns(layout, row); ++k) {
      to[k] = static_cast<std::uint8_t>(*code++ + kMiddle);
    }
    for (std::int64_t g = 0; g < own_groups(layout, row); ++g) {
      parameters[place(layout, i / layout.padded_rows, row, g)] = {*scale++,
                                                                   *zero++};
    }
    if (row % kTileRows == kTileRows - 1) {
      kernels::pack_tinygemm_tile_row(
          tile.data(), width, kTileInnerKTiles, words);
      std::fill(words + width,
                words + layout.padded_columns,
                word_of(*kept.as<std::uint8_t>()));
      words += layout.padded_columns;
    }
  }
  return {std::move(qdata), std::move(both)};
}

}  // namespace mantissa
