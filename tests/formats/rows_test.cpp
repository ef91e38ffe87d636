// Encoding::rows(): any block of rows decodes by itself to what it is in the
// whole tensor.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/formats/nf4_tensor.h>

#include "support/int4_samples.h"

namespace mantissa {
namespace {

using EncodingPtr = std::shared_ptr<const Encoding>;

struct Case {
  std::string name;
  EncodingPtr encoding;
};

std::vector<Case> cases() {
  const DType bf16 = DType::BFloat16;
  IntxSpec groups;
  groups.granularity = PerGroup{32};
  groups.mapping_type = MappingType::Asymmetric;
  Float8Spec blocks;
  blocks.granularity = PerBlock{{128, 128}};
  Float8Spec tensor;
  tensor.granularity = PerTensor{};
  Int8Spec int8_tensor;
  int8_tensor.granularity = PerTensor{};
  return {
      {"int8 row", make_int8_encoding({37, 96}, bf16, {})},
      {"int8 tensor", make_int8_encoding({37, 96}, bf16, int8_tensor)},
      {"int8 experts", make_int8_encoding({3, 10, 64}, DType::Float32, {})},
      {"intx groups", make_intx_encoding({37, 96}, bf16, groups)},
      {"intx experts", make_intx_encoding({2, 17, 64}, bf16, groups)},
      {"float8 row", make_float8_encoding({37, 96}, bf16, {})},
      {"float8 tensor", make_float8_encoding({37, 96}, bf16, tensor)},
      {"float8 experts", make_float8_encoding({3, 16, 64}, bf16, {})},
      {"float8 expert tensor", make_float8_encoding({3, 16, 64}, bf16, tensor)},
      {"float8 blocks", make_float8_encoding({256, 256}, bf16, blocks)},
      {"int4", make_int4_encoding({37, 128}, bf16, {32})},
      {"int4 experts", make_int4_encoding({3, 16, 128}, bf16, {64})},
      {"tiles", make_int4_tile_packed_encoding({37, 1024}, bf16, {32})},
      {"padded tiles",
       make_int4_tile_packed_encoding({40, 320}, bf16, {.group_size = 64})},
      {"tile experts",
       make_int4_tile_packed_encoding({2, 24, 1024}, bf16, {128})},
      {"nf4", make_nf4_encoding({512, 96}, bf16, {})},
  };
}

// The fields of some rows, gathered by their runs.
EncodedTensor gathered(const EncodedTensor& whole, const RowBlock& block) {
  EncodedRows rows = whole.encoding->rows(block);
  const std::vector<FieldLayout> layouts = rows.encoding->fields();
  EXPECT_EQ(rows.fields.size(), layouts.size());
  EncodedTensor out{rows.encoding, {}};
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    HostTensor field(layouts[i].dtype, layouts[i].shape);
    const FieldRuns& runs = rows.fields[i];
    EXPECT_EQ(runs.bytes * runs.count, field.nbytes()) << layouts[i].name;
    for (std::int64_t r = 0; r < runs.count; ++r) {
      const std::int64_t from = runs.offset + r * runs.stride;
      EXPECT_LE(from + runs.bytes, whole.fields[i].nbytes());
      std::memcpy(field.data() + r * runs.bytes,
                  whole.fields[i].data() + from,
                  static_cast<std::size_t>(runs.bytes));
    }
    out.fields.push_back(std::move(field));
  }
  return out;
}

TEST(EncodedRowsTest, EachBlockDecodesToItsPartOfTheWhole) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const HostTensor weight =
        support::awkward_weight(c.encoding->dtype(), c.encoding->shape());
    const EncodedTensor whole = encode(c.encoding, weight.view());
    const HostTensor expected = whole.decode();
    const MatrixShape all = matrix_shape(c.encoding->shape());
    const std::int64_t unit = c.encoding->row_unit();
    for (std::int64_t step = unit; step < all.rows + unit; step += 3 * unit) {
      for (std::int64_t m = 0; m < all.matrices; ++m) {
        for (std::int64_t row = 0; row < all.rows; row += step) {
          const RowBlock block{m, row, std::min(step, all.rows - row)};
          const EncodedTensor part = gathered(whole, block);
          ASSERT_EQ(part.encoding->shape(), (Shape{block.rows, all.columns}));
          const HostTensor found = part.decode();
          const std::int64_t at = (m * all.rows + row) * all.columns *
                                  bit_width(expected.dtype()) / 8;
          ASSERT_EQ(std::memcmp(found.data(),
                                expected.data() + at,
                                static_cast<std::size_t>(found.nbytes())),
                    0)
              << "matrix " << m << " row " << row << " rows " << block.rows;
        }
      }
    }
  }
}

TEST(EncodedRowsTest, RefusesBlocksOutsideOrAcrossUnits) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const MatrixShape all = matrix_shape(c.encoding->shape());
    std::vector<RowBlock> bad = {
        {0, 0, all.rows + 1}, {all.matrices, 0, 1}, {0, -1, 1}, {0, 0, 0}};
    if (c.encoding->row_unit() > 1) bad.push_back({0, 1, all.rows - 1});
    for (const RowBlock& block : bad) {
      EXPECT_THROW(c.encoding->rows(block), Error);
    }
  }
}

}  // namespace
}  // namespace mantissa
