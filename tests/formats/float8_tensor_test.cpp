#include <mantissa/formats/float8_tensor.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/registry.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/float8.h>

#include "formats/dense_slice.h"
#include "support/encode_blocks.h"
#include "support/int4_samples.h"

namespace mantissa {
namespace {

using support::awkward_weight;
using support::encode_in_blocks;
using support::same_fields;
using ::testing::HasSubstr;

constexpr DType kDTypes[] = {DType::Float32, DType::BFloat16, DType::Float16};

EncodedTensor encoded(const HostTensor& w, const Granularity& granularity) {
  return encode(
      make_float8_encoding(w.shape(), w.dtype(), {.granularity = granularity}),
      w.view());
}

EncodedTensor parsed(const EncodedTensor& t) {
  const Format* format = find_format("Float8Tensor");
  return {format->parse(t.encoding->attributes_json(), t.encoding->fields()),
          t.fields};
}

template <class Act>
std::string message(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

struct Case {
  Shape shape;
  Granularity granularity;
};

// Blocks within a row, of few rows, of all rows, and over matrices.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {{9, 77}, PerRow{}},
      {{9, 77}, PerTensor{}},
      {{300, 64}, PerTensor{}},
      {{300, 64}, PerRow{0}},
      {{24, 96}, PerGroup{32}},
      {{256, 256}, PerBlock{{128, 128}}},
      {{300, 64}, PerBlock{{150, 32}}},
      {{3, 16, 64}, PerTensor{}},
      {{3, 16, 64}, PerRow{}},
      {{4, 16, 64}, PerRow{0}},
      {{3, 16, 64}, PerRow{1}},
      {{4, 16, 64}, PerBlock{{2, 8, 16}}},
      {{3, 16, 64}, PerAxis{0}},
  };
  return all;
}

TEST(Float8TensorTest, EqualsThePrimitivesInBlocksOfAnySize) {
  for (const DType dtype : kDTypes) {
    for (const Case& c : cases()) {
      const HostTensor w = awkward_weight(dtype, c.shape);
      const EncodedTensor t = encoded(w, c.granularity);
      const HostTensor scale =
          choose_scale_float8(w.view(), block_size(c.granularity, c.shape), {});
      const HostTensor qdata =
          quantize_affine_float8(w.view(), scale.view(), DType::Float8E4M3FN);
      EXPECT_TRUE(same_fields(t, {t.encoding, {qdata, scale}}))
          << to_string(c.granularity) << " of " << to_string(c.shape);
      for (const std::int64_t rows : {1, 5, 128}) {
        EXPECT_TRUE(
            same_fields(encode_in_blocks(t.encoding, w.view(), rows), t))
            << to_string(c.granularity) << " in blocks of " << rows;
      }
    }
  }
}

TEST(Float8TensorTest, ParsesWhatItWritesAndDecodesTheSame) {
  for (const Case& c : cases()) {
    const HostTensor w = awkward_weight(DType::BFloat16, c.shape);
    const EncodedTensor t = encoded(w, c.granularity);
    const EncodedTensor again = parsed(t);
    EXPECT_EQ(again.encoding->attributes_json(), t.encoding->attributes_json());
    EXPECT_EQ(again.encoding->shape(), c.shape);
    EXPECT_EQ(again.encoding->dtype(), DType::BFloat16);
    const HostTensor a = t.decode();
    const HostTensor b = again.decode();
    EXPECT_EQ(
        std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.nbytes())),
        0);
    EXPECT_EQ(t.encoding->check_values(t.views()), "");
  }
}

TEST(Float8TensorTest, SlicesOfRowsCommuteWithEncoding) {
  const HostTensor w = awkward_weight(DType::BFloat16, {4, 16, 64});
  struct Cut {
    Granularity granularity;
    std::int64_t dim, begin, end;
  };
  for (const Cut& cut : {Cut{PerRow{}, 0, 1, 3},
                         Cut{PerRow{}, 1, 5, 9},
                         Cut{PerRow{}, 1, 4, 4},
                         Cut{PerGroup{32}, 2, 32, 64},
                         Cut{PerBlock{{1, 8, 16}}, 1, 8, 16},
                         Cut{PerBlock{{1, 8, 16}}, 2, 16, 48},
                         Cut{PerAxis{0}, 0, 2, 4}}) {
    const EncodedTensor t = encoded(w, cut.granularity);
    const HostTensor part = slice_dense(w.view(), cut.dim, cut.begin, cut.end);
    const EncodedTensor slice =
        t.encoding->slice(t.views(), cut.dim, cut.begin, cut.end);
    const EncodedTensor expected = encoded(part, cut.granularity);
    EXPECT_TRUE(same_fields(slice, expected)) << to_string(cut.granularity);
    EXPECT_EQ(slice.encoding->attributes_json(),
              expected.encoding->attributes_json());
  }
}

TEST(Float8TensorTest, AScaleOfAWholeDimensionHoldsForItsParts) {
  const HostTensor w = awkward_weight(DType::BFloat16, {3, 16, 64});
  for (const Granularity& g :
       {Granularity(PerTensor{}), Granularity(PerRow{})}) {
    const EncodedTensor t = encoded(w, g);
    for (std::int64_t dim = 0; dim < 3; ++dim) {
      const EncodedTensor slice = t.encoding->slice(t.views(), dim, 1, 3);
      const HostTensor whole = t.decode();
      const HostTensor expected = slice_dense(whole.view(), dim, 1, 3);
      const HostTensor found = parsed(slice).decode();
      ASSERT_EQ(found.shape(), expected.shape());
      EXPECT_EQ(std::memcmp(found.data(),
                            expected.data(),
                            static_cast<std::size_t>(expected.nbytes())),
                0);
    }
  }
}

TEST(Float8TensorTest, SelectIsOneExpert) {
  const HostTensor w = awkward_weight(DType::Float16, {4, 16, 64});
  for (const Granularity& g : {Granularity(PerRow{}),
                               Granularity(PerGroup{32}),
                               Granularity(PerBlock{{8, 32}}),
                               Granularity(PerAxis{0})}) {
    const EncodedTensor t = encoded(w, g);
    const EncodedTensor one = t.encoding->select(t.views(), 2);
    const ConstTensorView expert = select_dense(w.view(), 2);
    const Granularity alone =
        std::holds_alternative<PerAxis>(g) ? Granularity(PerTensor{}) : g;
    const EncodedTensor expected =
        encode(make_float8_encoding(
                   expert.shape, expert.dtype, {.granularity = alone}),
               expert);
    EXPECT_TRUE(same_fields(one, expected)) << to_string(g);
    EXPECT_EQ(one.encoding->attributes_json(),
              expected.encoding->attributes_json());
  }
  const EncodedTensor tensor = encoded(w, PerTensor{});
  EXPECT_EQ(tensor.encoding->select(tensor.views(), 3).fields[1].numel(), 1);
}

// A weight of one block's size is per tensor or blockwise by its block alone:
// both have the same bytes, and neither is refused.
TEST(Float8TensorTest, A128x128WeightMayBePerTensor) {
  const HostTensor w = awkward_weight(DType::BFloat16, {128, 128});
  const EncodedTensor tensor = encoded(w, PerTensor{});
  const EncodedTensor block = encoded(w, PerBlock{{128, 128}});
  EXPECT_TRUE(same_fields(tensor, block));
  EXPECT_EQ(tensor.encoding->make_encoder()->row_multiple(), 128);
}

TEST(Float8TensorTest, MetadataOfTorchao) {
  Float8Spec spec;
  spec.mm_config = Float8MMConfig{.use_fast_accum = true};
  spec.act_quant_kwargs = QuantizeTensorToFloat8Kwargs{};
  const auto dynamic = make_float8_encoding({256, 1024}, DType::BFloat16, spec);
  EXPECT_EQ(
      dynamic->attributes_json(),
      R"({"block_size": [1, 1024], "mm_config": {"_type": "Float8MMConfig", "_data": {"emulate": false, "use_fast_accum": true, "pad_inner_dim": false}}, "act_quant_kwargs": {"_type": "QuantizeTensorToFloat8Kwargs", "_data": {"float8_dtype": {"_type": "torch.dtype", "_data": "float8_e4m3fn"}, "granularity": {"_type": "PerRow", "_data": {"dim": -1}}, "mm_config": null, "hp_value_lb": null, "hp_value_ub": null, "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}}}, "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}, "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}})");
  const auto weight_only =
      make_float8_encoding({32, 64}, DType::Float16, Float8Spec{});
  EXPECT_EQ(
      weight_only->attributes_json(),
      R"({"block_size": [1, 64], "mm_config": null, "act_quant_kwargs": null, "kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}, "dtype": {"_type": "torch.dtype", "_data": "float16"}})");
  EXPECT_EQ(weight_only->required_fields(), 2u);
  EXPECT_EQ(weight_only->fields()[0].name, "qdata");
  EXPECT_EQ(weight_only->fields()[1].shape, (Shape{32, 1}));
}

TEST(Float8TensorTest, ReadsPerBlockKwargsAndAbsentAttributes) {
  const std::vector<FieldLayout> fields = {
      {"qdata", DType::Float8E5M2, {256, 256}},
      {"scale", DType::Float32, {2, 2}}};
  const Format* format = find_format("Float8Tensor");
  const auto bare = format->parse("{}", fields);
  EXPECT_EQ(bare->dtype(), DType::Float32);
  EXPECT_THAT(bare->attributes_json(),
              HasSubstr(R"("block_size": [128, 128])"));
  const auto block = format->parse(
      R"({"block_size": [128, 128], "act_quant_kwargs": {"_type": "QuantizeTensorToFloat8Kwargs", "_data": {"granularity": {"_type": "PerBlock", "_data": {"block_size": [1, 128]}}, "hp_value_lb": 1e-05}}})",
      fields);
  EXPECT_THAT(block->attributes_json(), HasSubstr(R"("block_size": [1, 128])"));
  EXPECT_THAT(block->attributes_json(), HasSubstr(R"("hp_value_lb": 1e-05)"));
}

TEST(Float8TensorTest, RefusesWhatDoesNotFit) {
  const auto make = [](Shape shape, DType dtype, Float8Spec spec) {
    return message(ErrorKind::Usage, [&] {
      make_float8_encoding(std::move(shape), dtype, spec);
    });
  };
  EXPECT_THAT(make({4, 6}, DType::Float64, {}), HasSubstr("float64"));
  EXPECT_THAT(make({4, 6}, DType::Float32, {.float8_dtype = DType::Int8}),
              HasSubstr("float8_dtype"));
  EXPECT_THAT(make({4, 6}, DType::Float32, {.granularity = PerGroup{4}}),
              HasSubstr("PerGroup(4)"));
  const Format* format = find_format("Float8Tensor");
  const auto parse = [&](std::string_view text, FieldLayout scale) {
    const std::vector<FieldLayout> fields = {
        {"qdata", DType::Float8E4M3FN, {4, 64}}, std::move(scale)};
    return message(ErrorKind::Input, [&] { format->parse(text, fields); });
  };
  const FieldLayout rows = {"scale", DType::Float32, {4, 1}};
  EXPECT_THAT(parse(R"({"block_size": [1, 48]})", rows),
              HasSubstr("block_size"));
  EXPECT_THAT(parse(R"({"block_size": [1, 32]})", rows), HasSubstr("scale"));
  EXPECT_THAT(parse("{}", {"scale", DType::Float32, {3, 1}}),
              HasSubstr("scale"));
  EXPECT_THAT(parse("{}", {"scale", DType::BFloat16, {4, 1}}),
              HasSubstr("scale"));
  EXPECT_THAT(
      parse(R"({"dtype": {"_type": "torch.dtype", "_data": "int8"}})", rows),
      HasSubstr("dtype"));
  EXPECT_THAT(parse(R"({"version": 3})", rows), HasSubstr("version"));
  EXPECT_THAT(parse("{}", {"scales", DType::Float32, {4, 1}}),
              HasSubstr("scale"));
}

TEST(Float8TensorTest, RefusesCutsInsideABlock) {
  const HostTensor w = awkward_weight(DType::BFloat16, {256, 256});
  const EncodedTensor t = encoded(w, PerBlock{{128, 128}});
  EXPECT_THAT(message(ErrorKind::Usage,
                      [&] { t.encoding->slice(t.views(), 0, 0, 100); }),
              HasSubstr("use multiples of 128"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->slice(t.views(), 2, 0, 1); }),
      HasSubstr("dim"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->select(t.views(), 0); }),
      HasSubstr("3-D"));
}

TEST(Float8TensorTest, RefusesNanAndInfinityInTheWeight) {
  HostTensor w = awkward_weight(DType::BFloat16, {16, 64});
  w.as<std::uint16_t>()[67] = 0x7f80;
  w.as<std::uint16_t>()[900] = 0x7fc0;
  EXPECT_THAT(message(ErrorKind::Input, [&] { encoded(w, PerRow{}); }),
              HasSubstr("weight[1, 3] is NaN or infinite"));
  EXPECT_THAT(message(ErrorKind::Input, [&] { encoded(w, PerTensor{}); }),
              HasSubstr("weight[1, 3] is NaN or infinite"));
}

TEST(Float8TensorTest, FindsBadValues) {
  const HostTensor w = awkward_weight(DType::BFloat16, {8, 32});
  EncodedTensor t = encoded(w, PerRow{});
  t.fields[0].as<std::uint8_t>()[33] = 0x7f;
  EXPECT_THAT(t.encoding->check_values(t.views()), HasSubstr("qdata[1, 1]"));
  t.fields[1].as<float>()[5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(t.encoding->check_values(t.views()), HasSubstr("scale[5, 0]"));
}

// The numbers of docs/formats/float8_tensor.md.
TEST(Float8TensorTest, WorkedExample) {
  HostTensor w(DType::Float32, {2, 4});
  const float values[] = {0.5f, -1.75f, 0.1f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
  std::memcpy(w.data(), values, sizeof(values));
  const EncodedTensor t = encoded(w, PerRow{});
  EXPECT_EQ(t.fields[1].as<float>()[0], 0.00390625f);  // 1.75 / 448 = 2^-8
  EXPECT_EQ(t.fields[1].as<float>()[1], 0x1p-126f);
  const std::uint8_t codes[] = {0x70, 0xfe, 0x5d, 0x00, 0, 0, 0, 0};
  EXPECT_EQ(std::memcmp(t.fields[0].data(), codes, 8), 0);
  const HostTensor back = t.decode();
  EXPECT_EQ(back.as<float>()[0], 0.5f);
  EXPECT_EQ(back.as<float>()[1], -1.75f);
  EXPECT_EQ(back.as<float>()[2], 0.1015625f);
  EXPECT_EQ(back.as<float>()[3], 0.0f);
}

}  // namespace
}  // namespace mantissa
