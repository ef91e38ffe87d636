#include <mantissa/formats/int8_tensor.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include <mantissa/formats/registry.h>

#include "formats/affine_weights.h"
#include "formats/dense_slice.h"
#include "formats/row_blocks.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

const Format& int8_format() { return *find_format("Int8Tensor"); }

// Granularities that fit [4, 12, 64] and [12, 64].
std::vector<Granularity> granularities() {
  return {PerTensor{},
          PerRow{},
          PerRow{-2},
          PerGroup{32},
          PerGroup{64},
          PerAxis{-1},
          PerBlock{{4, 16}},
          PerBlock{{1, 1}}};
}

HostTensor float_scalar(float value) {
  HostTensor t(DType::Float32, {1, 1});
  *t.as<float>() = value;
  return t;
}

TEST(Int8TensorTest, FieldsFollowTheBlockSize) {
  const auto encoding = make_int8_encoding(
      {4, 12, 64}, DType::BFloat16, {.granularity = PerGroup{32}});
  const auto fields = encoding->fields();
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(encoding->required_fields(), 2u);
  EXPECT_EQ(fields[0].name, "qdata");
  EXPECT_EQ(fields[0].shape, (Shape{4, 12, 64}));
  EXPECT_EQ(fields[1].dtype, DType::Float32);
  EXPECT_EQ(fields[1].shape, (Shape{4, 12, 2}));
  EXPECT_EQ(fields[2].dtype, DType::Int8);
  EXPECT_EQ(stored_bytes(*encoding), 4 * 12 * 64 + 4 * 12 * 2 * 5);
}

TEST(Int8TensorTest, AttributesAreTorchaosText) {
  const auto dynamic =
      make_int8_encoding({256, 1024},
                         DType::BFloat16,
                         {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}});
  EXPECT_EQ(
      dynamic->attributes_json(),
      R"({"act_quant_kwargs": {"_type": "QuantizeTensorToInt8Kwargs", )"
      R"("_data": {"granularity": {"_type": "PerRow", "_data": {"dim": -1}}, )"
      R"("mapping_type": {"_type": "MappingType", "_data": "SYMMETRIC"}, )"
      R"("reduce_range": false}}, "reduce_range": false, )"
      R"("block_size": [1, 1024], )"
      R"("dtype": {"_type": "torch.dtype", "_data": "bfloat16"}})");
  EXPECT_THAT(
      make_int8_encoding({2, 4}, DType::Float16, {})->attributes_json(),
      HasSubstr(R"({"act_quant_kwargs": null, "reduce_range": false, )"));
}

TEST(Int8TensorTest, BlocksInAnyOrderEqualTheWhole) {
  for (const Shape& shape : {Shape{4, 12, 64}, Shape{12, 64}, Shape{64}}) {
    for (const Granularity& granularity : granularities()) {
      if (shape.size() == 1 && granularity != Granularity{PerGroup{32}}) {
        continue;
      }
      for (const DType dtype : {DType::BFloat16, DType::Float32}) {
        const HostTensor w = affine_weight(shape, dtype);
        const auto encoding =
            make_int8_encoding(shape, dtype, {.granularity = granularity});
        const EncodedTensor whole = encode(encoding, w.view());
        for (const std::int64_t rows : {1, 5, 12}) {
          SCOPED_TRACE(to_string(granularity) + " rows " +
                       std::to_string(rows));
          expect_same_fields(encode_in_blocks(*encoding, w.view(), rows),
                             whole.fields);
        }
        EXPECT_EQ(encoding->check_values(whole.views()), "");
      }
    }
  }
}

TEST(Int8TensorTest, WideRowsAreEncodedInChunks) {
  // More bytes than one chunk holds, so several chunks meet in one block.
  const HostTensor w = affine_weight({40, 4096}, DType::Float32);
  const auto encoding = make_int8_encoding(
      {40, 4096}, DType::Float32, {.granularity = PerGroup{128}});
  const EncodedTensor whole = encode(encoding, w.view());
  expect_same_fields(encode_in_blocks(*encoding, w.view(), 1), whole.fields);
}

RC_GTEST_PROP(Int8TensorProperty, ErrorIsAtMostHalfAStep, ()) {
  const auto seed = *rc::gen::inRange(0u, 1000u);
  const auto granularity = *rc::gen::elementOf(granularities());
  const HostTensor w = affine_weight({12, 64}, DType::Float32, seed);
  const auto encoding = make_int8_encoding(
      {12, 64}, DType::Float32, {.granularity = granularity});
  const EncodedTensor e = encode(encoding, w.view());
  const HostTensor back = e.decode();
  const RowBlocks blocks({12, 64}, block_size(granularity, {12, 64}));
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    const double scale = e.fields[1].as<float>()[blocks.first_block(0, i / 64) +
                                                 i % 64 / blocks.group()];
    const double x = w.as<float>()[i];
    // Reciprocal, product and decoded value are rounded once each.
    RC_ASSERT(std::fabs(back.as<float>()[i] - x) <=
              scale / 2 + std::fabs(x) * 0x1p-22);
  }
}

RC_GTEST_PROP(Int8TensorProperty, GridValuesComeBack, ()) {
  const auto exponent = *rc::gen::inRange(-12, 12);
  HostTensor w(DType::Float32, {3, 64});
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    // amax is 127.5 steps, so the scale is exactly one step.
    w.as<float>()[i] =
        std::ldexp(static_cast<float>(i % 64 == 0 ? -127.5 : i % 64), exponent);
  }
  const auto encoding = make_int8_encoding({3, 64}, DType::Float32, {});
  const EncodedTensor e = encode(encoding, w.view());
  RC_ASSERT(e.fields[1].as<float>()[0] == std::ldexp(1.0f, exponent));
  const HostTensor back = e.decode();
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    if (i % 64 != 0) RC_ASSERT(back.as<float>()[i] == w.as<float>()[i]);
  }
}

TEST(Int8TensorTest, SlicingRowsCommutesWithEncoding) {
  const HostTensor w = affine_weight({12, 64}, DType::BFloat16);
  for (const Granularity& g :
       {Granularity{PerRow{}}, Granularity{PerGroup{32}}}) {
    const EncodedTensor e = encode(
        make_int8_encoding({12, 64}, DType::BFloat16, {.granularity = g}),
        w.view());
    const EncodedTensor cut = e.encoding->slice(e.views(), 0, 3, 10);
    const HostTensor rows = slice_dense(w.view(), 0, 3, 10);
    const EncodedTensor again =
        encode(make_int8_encoding({7, 64}, DType::BFloat16, {.granularity = g}),
               rows.view());
    expect_same_fields(cut.fields, again.fields);
    EXPECT_EQ(cut.encoding->attributes_json(),
              again.encoding->attributes_json());
  }
}

TEST(Int8TensorTest, SlicesDecodeToSlicesOfTheDecoded) {
  struct Cut {
    std::int64_t dim, begin, end;
  };
  const HostTensor w = affine_weight({4, 12, 64}, DType::Float16);
  for (const Granularity& g : granularities()) {
    const EncodedTensor e = encode(
        make_int8_encoding({4, 12, 64}, DType::Float16, {.granularity = g}),
        w.view());
    const HostTensor whole = e.decode();
    for (const Cut& c : {Cut{0, 1, 3}, {1, 4, 12}, {2, 32, 64}, {2, 0, 0}}) {
      SCOPED_TRACE(to_string(g) + " dim " + std::to_string(c.dim));
      // PerGroup(64) columns: [32, 64) lies within one block.
      const EncodedTensor cut =
          e.encoding->slice(e.views(), c.dim, c.begin, c.end);
      expect_same_tensor(cut.decode(),
                         slice_dense(whole.view(), c.dim, c.begin, c.end));
      EXPECT_EQ(cut.encoding->fields()[1].shape, cut.fields[1].shape());
    }
    const EncodedTensor expert = e.encoding->select(e.views(), 2);
    expect_same_tensor(expert.decode(), [&] {
      HostTensor t = slice_dense(whole.view(), 0, 2, 3);
      HostTensor flat(t.dtype(), {12, 64});
      std::memcpy(flat.data(), t.data(), static_cast<std::size_t>(t.nbytes()));
      return flat;
    }());
  }
}

TEST(Int8TensorTest, CutsInsideBlocksAreRefused) {
  const HostTensor w = affine_weight({12, 64}, DType::Float32);
  const EncodedTensor e =
      encode(make_int8_encoding(
                 {12, 64}, DType::Float32, {.granularity = PerGroup{32}}),
             w.view());
  EXPECT_THAT(refusal_of(ErrorKind::Usage,
                         [&] { e.encoding->slice(e.views(), 1, 16, 48); }),
              HasSubstr("Int8Tensor: slice: [16, 48) of dimension 1 cuts "
                        "blocks of 32; use multiples of 32"));
  EXPECT_THAT(refusal_of(ErrorKind::Usage,
                         [&] { e.encoding->slice(e.views(), 2, 0, 1); }),
              HasSubstr("dim: expected 0 to 1"));
  EXPECT_THAT(
      refusal_of(ErrorKind::Usage, [&] { e.encoding->select(e.views(), 0); }),
      HasSubstr("expected a 3-D tensor"));
}

TEST(Int8TensorTest, NonFiniteWeightsAreNamed) {
  HostTensor w = affine_weight({2, 3, 4}, DType::BFloat16);
  w.as<std::uint16_t>()[12 + 4 + 2] = 0x7fc0;
  for (const Granularity& g :
       {Granularity{PerRow{}}, Granularity{PerTensor{}}}) {
    EXPECT_THAT(
        refusal_of(ErrorKind::Input,
                   [&] {
                     encode(make_int8_encoding(
                                {2, 3, 4}, DType::BFloat16, {.granularity = g}),
                            w.view());
                   }),
        HasSubstr("Int8Tensor: weight[1, 1, 2] is NaN or infinite"));
  }
}

TEST(Int8TensorTest, StaticActivationFieldsAreStored) {
  const HostTensor w = affine_weight({2, 8}, DType::Float32);
  Int8Spec spec;
  spec.act_quant_kwargs = QuantizeTensorToInt8Kwargs{};
  spec.act_quant_scale = float_scalar(0.5f);
  const auto encoding = make_int8_encoding({2, 8}, DType::Float32, spec);
  ASSERT_EQ(encoding->fields().size(), 4u);
  EXPECT_EQ(encoding->fields()[3].name, "act_quant_scale");
  const EncodedTensor e = encode(encoding, w.view());
  EXPECT_EQ(*e.fields[3].as<float>(), 0.5f);
  const EncodedTensor cut = e.encoding->slice(e.views(), 0, 0, 1);
  EXPECT_EQ(*cut.fields[3].as<float>(), 0.5f);
  // Read from a file, the value is not part of the encoding.
  const auto parsed =
      int8_format().parse(encoding->attributes_json(), encoding->fields());
  EXPECT_THAT(refusal_of(ErrorKind::Usage, [&] { parsed->make_encoder(); }),
              HasSubstr("act_quant_scale comes from a calibration"));
}

TEST(Int8TensorTest, ActivationFieldsOfOtherShapesAreRefused) {
  const auto parse = [](const Granularity& granularity,
                        const std::vector<FieldLayout>& extra) {
    const auto base = make_int8_encoding(
        {2, 8},
        DType::Float32,
        {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{granularity}});
    std::vector<FieldLayout> fields = base->fields();
    fields.insert(fields.end(), extra.begin(), extra.end());
    int8_format().parse(base->attributes_json(), fields);
  };
  const auto refusal = [&](const Granularity& granularity,
                           const std::vector<FieldLayout>& extra) {
    return refusal_of(ErrorKind::Input, [&] { parse(granularity, extra); });
  };
  const auto scale = [](Shape shape) {
    return FieldLayout{"act_quant_scale", DType::Float32, std::move(shape)};
  };
  const auto zero = [](Shape shape) {
    return FieldLayout{"act_quant_zero_point", DType::Int8, std::move(shape)};
  };
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1, 1}}) {
    parse(PerTensor{}, {scale(shape), zero(shape)});
    parse(PerRow{}, {scale(shape)});
  }
  parse(PerRow{}, {scale({3, 1}), zero({3, 1})});
  EXPECT_THAT(refusal(PerTensor{}, {scale({3, 1})}),
              HasSubstr("Int8Tensor: act_quant_scale: expected one value "
                        "(PerTensor), got [3, 1]"));
  for (const Shape& shape : {Shape{2, 8}, Shape{0}, Shape{0, 1}, Shape{8}}) {
    EXPECT_THAT(refusal(PerRow{}, {scale(shape)}),
                HasSubstr("act_quant_scale: expected one value or one for each "
                          "row, [.., 1], got " +
                          to_string(shape)));
  }
  EXPECT_THAT(refusal(PerRow{}, {scale({3, 1}), zero({1, 1})}),
              HasSubstr("act_quant_zero_point: expected the shape of "
                        "act_quant_scale, [3, 1], got [1, 1]"));
  EXPECT_THAT(refusal(PerRow{}, {zero({1, 1})}),
              HasSubstr("act_quant_zero_point: expected act_quant_scale beside "
                        "it, got [1, 1]"));
}

TEST(Int8TensorTest, ReadsFilesOfOldVersions) {
  const std::vector<FieldLayout> fields = {{"scale", DType::BFloat16, {2, 1}},
                                           {"qdata", DType::Int8, {2, 8}}};
  const auto encoding = int8_format().parse(
      R"({"block_size":[1,8],"dtype":{"_type":"torch.dtype",)"
      R"("_data":"bfloat16"},"act_quant_kwargs":null})",
      fields);
  ASSERT_EQ(encoding->fields().size(), 2u);
  EXPECT_THAT(encoding->attributes_json(),
              HasSubstr(R"("reduce_range": false)"));
  HostTensor q(DType::Int8, {2, 8});
  HostTensor scale(DType::BFloat16, {2, 1});
  q.as<std::int8_t>()[9] = -3;
  scale.as<std::uint16_t>()[1] = 0x3f00;  // 0.5
  const ConstTensorView views[] = {q.view(), scale.view()};
  EXPECT_EQ(encoding->decode(views).as<std::uint16_t>()[9], 0xbfc0);  // -1.5
  EXPECT_THAT(refusal_of(ErrorKind::Usage, [&] { encoding->make_encoder(); }),
              HasSubstr("torchao <= 0.17 is read, not written"));
}

TEST(Int8TensorTest, AcceptsEveryGranularityOfActivations) {
  const auto base = make_int8_encoding({2, 8}, DType::Float32, {});
  for (const Granularity& g : {Granularity{PerGroup{4}},
                               Granularity{PerBlock{{1, 8}}},
                               Granularity{PerAxis{0}},
                               Granularity{PerTensor{}}}) {
    const auto made =
        make_int8_encoding({2, 8},
                           DType::Float32,
                           {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{
                                g, MappingType::Asymmetric, false}});
    EXPECT_EQ(int8_format()
                  .parse(made->attributes_json(), made->fields())
                  ->attributes_json(),
              made->attributes_json());
  }
}

TEST(Int8TensorTest, HostileMetadataIsRefused) {
  const auto good = make_int8_encoding({2, 8}, DType::Float32, {});
  const auto refuse = [&](const std::string& attributes,
                          std::vector<FieldLayout> fields) {
    return refusal_of(ErrorKind::Input,
                      [&] { int8_format().parse(attributes, fields); });
  };
  const std::string dtype =
      R"("dtype":{"_type":"torch.dtype","_data":"float32"}})";
  const auto fields = good->fields();
  EXPECT_THAT(refuse(R"({"block_size":[1,3],)" + dtype, fields),
              HasSubstr("block_size: expected a positive divisor of each "
                        "extent of [2, 8], got [1, 3]"));
  EXPECT_THAT(refuse(R"({"block_size":[0,8],)" + dtype, fields),
              HasSubstr("got [0, 8]"));
  EXPECT_THAT(refuse(R"({"block_size":[8],)" + dtype, fields),
              HasSubstr("got [8]"));
  EXPECT_THAT(refuse(R"({"block_size":[1,4],)" + dtype, fields),
              HasSubstr("scale: expected float32 [2, 2], got float32 [2, 1]"));
  EXPECT_THAT(refuse(R"({"zzz":1,"block_size":[1,8],)" + dtype, fields),
              HasSubstr("unknown attribute 'zzz'"));
  auto more = fields;
  more.push_back({"other", DType::Int8, {1}});
  EXPECT_THAT(refuse(good->attributes_json(), more),
              HasSubstr("unknown field 'other'"));
  auto wrong = fields;
  wrong[2].dtype = DType::Float32;
  EXPECT_THAT(refuse(good->attributes_json(), wrong),
              HasSubstr("zero_point: expected int8 [2, 1], got float32"));
  wrong = fields;
  wrong[0].dtype = DType::UInt8;
  EXPECT_THAT(refuse(good->attributes_json(), wrong),
              HasSubstr("qdata: expected int8 [2, 8], got uint8 [2, 8]"));
}

TEST(Int8TensorTest, CheckValuesNamesTheElement) {
  const HostTensor w = affine_weight({2, 8}, DType::Float32);
  const EncodedTensor e =
      encode(make_int8_encoding({2, 8}, DType::Float32, {.reduce_range = true}),
             w.view());
  EXPECT_EQ(e.encoding->check_values(e.views()), "");
  e.fields[0].as<std::int8_t>()[11] = 64;
  EXPECT_EQ(e.encoding->check_values(e.views()),
            "qdata[1, 3] is 64, expected -64 to 63");
  e.fields[0].as<std::int8_t>()[11] = 0;
  e.fields[1].as<float>()[1] = NAN;
  EXPECT_EQ(e.encoding->check_values(e.views()),
            "scale[1, 0] is NaN or infinite");
}

TEST(Int8TensorTest, SpecsThatDoNotFitAreRefused) {
  const auto refuse = [](const Shape& shape, DType dtype, const Int8Spec& s) {
    return refusal_of(ErrorKind::Usage,
                      [&] { make_int8_encoding(shape, dtype, s); });
  };
  EXPECT_THAT(refuse({2, 8}, DType::Float32, {.granularity = PerGroup{3}}),
              HasSubstr("PerGroup(3) does not fit shape [2, 8]"));
  EXPECT_THAT(refuse({2, 8}, DType::Float64, {}),
              HasSubstr("dtype: expected float32, bfloat16 or float16, got "
                        "float64"));
  EXPECT_THAT(refuse({}, DType::Float32, {.granularity = PerTensor{}}),
              HasSubstr("shape: expected"));
  EXPECT_THAT(refuse({0, 8}, DType::Float32, {.granularity = PerTensor{}}),
              HasSubstr("expected a positive divisor"));
}

TEST(Int8TensorTest, NoRowsAreFine) {
  const HostTensor w(DType::Float32, {0, 8});
  const EncodedTensor e =
      encode(make_int8_encoding({0, 8}, DType::Float32, {}), w.view());
  EXPECT_EQ(e.fields[1].shape(), (Shape{0, 1}));
  EXPECT_EQ(e.decode().shape(), (Shape{0, 8}));
}

}  // namespace
}  // namespace mantissa
