#include "formats/int4_tile_packed_grid.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/primitives/float_casts.h>

#include "formats/int4_tile_packed_to_4d_tensor.h"

namespace mantissa {
namespace {

EncodedTensor random_weight(const Shape& shape, std::int64_t group) {
  HostTensor values(DType::BFloat16, shape);
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.as<std::uint16_t>()[i] = float_to_bfloat16(normal(random));
  }
  return encode(make_int4_tile_packed_encoding(
                    shape, DType::BFloat16, {.group_size = group}),
                values.view());
}

bool same(const HostTensor& a, const HostTensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(
             a.data(), b.data(), static_cast<std::size_t>(a.nbytes())) == 0;
}

const Shape kShapes[] = {{20, 96}, {16, 1024}, {3, 16, 160}, {1, 32}};

TEST(Int4TilePackedGridTest, RowsAreTheDecodedWeight) {
  for (const Shape& shape : kShapes) {
    const EncodedTensor w = random_weight(shape, 32);
    const auto parameters = tile_packed_parameters(*w.encoding);
    ASSERT_TRUE(parameters);
    const TilePackedGrid grid = tile_packed_grid(parameters->layout, w.views());
    const HostTensor values = w.decode();
    const std::int64_t k = shape.back();
    ASSERT_EQ(grid.codes.numel(), values.numel());
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      const std::int64_t g = i / k * (k / 32) + i % k / 32;
      const double code = grid.codes.as<std::int8_t>()[i];
      const double scale = bfloat16_to_float(grid.scale.as<std::uint16_t>()[g]);
      const double zero = bfloat16_to_float(grid.zero.as<std::uint16_t>()[g]);
      ASSERT_GE(code, -8);
      ASSERT_LE(code, 7);
      const double value = bfloat16_to_float(values.as<std::uint16_t>()[i]);
      // One rounding to bfloat16 of the exact value.
      ASSERT_NEAR(value, code * scale + zero, std::abs(value) * 0x1p-8) << i;
    }
  }
}

TEST(Int4TilePackedGridTest, FieldsComeBackWithTheirPadding) {
  for (const Shape& shape : kShapes) {
    const EncodedTensor w = random_weight(shape, 32);
    const TilePackedLayout layout = tile_packed_parameters(*w.encoding)->layout;
    const Shape shapes[] = {w.fields[0].shape(), w.fields[1].shape()};
    const auto padding = tile_packed_padding(layout, w.views());
    EXPECT_EQ(padding[0].numel(), 1);
    EXPECT_EQ(padding[1].numel(), 2);
    const auto back = tile_packed_fields(
        layout, tile_packed_grid(layout, w.views()), padding, shapes);
    EXPECT_TRUE(same(back[0], w.fields[0]));
    EXPECT_TRUE(same(back[1], w.fields[1]));
  }
}

TEST(Int4TilePackedGridTest, OtherFormatsHaveNoTiles) {
  EXPECT_FALSE(tile_packed_parameters(
      *make_int4_encoding({16, 32}, DType::BFloat16, {.group_size = 32})));
}

}  // namespace
}  // namespace mantissa
