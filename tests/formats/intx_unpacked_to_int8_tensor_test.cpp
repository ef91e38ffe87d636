#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include <mantissa/formats/registry.h>
#include <mantissa/primitives/hqq_scale_only.h>

#include "formats/affine_weights.h"
#include "formats/dense_slice.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

const Format& intx_format() { return *find_format("IntxUnpackedToInt8Tensor"); }

IntxSpec group_spec(DType target, std::int64_t group) {
  IntxSpec spec;
  spec.target_dtype = target;
  spec.granularity = PerGroup{group};
  return spec;
}

TEST(IntxTensorTest, FieldsAndAttributesAreTorchaos) {
  IntxSpec spec = group_spec(DType::Int4, 32);
  spec.activation_quantization = "int8_asym_per_token";
  const auto encoding = make_intx_encoding({256, 1024}, DType::BFloat16, spec);
  EXPECT_EQ(encoding->required_fields(), 3u);
  EXPECT_EQ(encoding->fields()[1].dtype, DType::BFloat16);
  EXPECT_EQ(encoding->fields()[1].shape, (Shape{256, 32}));
  EXPECT_EQ(encoding->attributes_json(),
            R"({"target_dtype": {"_type": "torch.dtype", "_data": "int4"}, )"
            R"("block_size": [1, 32], )"
            R"("dtype": {"_type": "torch.dtype", "_data": "bfloat16"}, )"
            R"("activation_quantization": "int8_asym_per_token"})");
  spec.scale_dtype = DType::Float32;
  spec.activation_quantization.reset();
  const auto wide = make_intx_encoding({256, 1024}, DType::BFloat16, spec);
  EXPECT_EQ(wide->fields()[1].dtype, DType::Float32);
  EXPECT_THAT(wide->attributes_json(),
              HasSubstr(R"("activation_quantization": null})"));
}

TEST(IntxTensorTest, PerAxisZeroIsOneScaleARowOfExpertsToo) {
  const auto encoding = make_intx_encoding({4, 6, 8}, DType::Float32, {});
  EXPECT_EQ(encoding->fields()[1].shape, (Shape{4, 6, 1}));
}

TEST(IntxTensorTest, BlocksInAnyOrderEqualTheWhole) {
  for (const Shape& shape : {Shape{12, 64}, Shape{3, 4, 64}}) {
    const HostTensor w = affine_weight(shape, DType::BFloat16);
    for (const auto algorithm : {IntxChooseQParamsAlgorithm::Affine,
                                 IntxChooseQParamsAlgorithm::HqqScaleOnly}) {
      for (const DType scale : {DType::BFloat16, DType::Float32}) {
        IntxSpec spec = group_spec(DType::Int3, 16);
        spec.algorithm = algorithm;
        spec.scale_dtype = scale;
        const auto encoding = make_intx_encoding(shape, DType::BFloat16, spec);
        const EncodedTensor whole = encode(encoding, w.view());
        for (const std::int64_t rows : {1, 3, 12}) {
          expect_same_fields(encode_in_blocks(*encoding, w.view(), rows),
                             whole.fields);
        }
        EXPECT_EQ(encoding->check_values(whole.views()), "");
      }
    }
  }
}

TEST(IntxTensorTest, HqqEqualsThePrimitive) {
  const HostTensor w = affine_weight({40, 128}, DType::Float16);
  IntxSpec spec = group_spec(DType::Int4, 32);
  spec.algorithm = IntxChooseQParamsAlgorithm::HqqScaleOnly;
  const EncodedTensor e =
      encode(make_intx_encoding({40, 128}, DType::Float16, spec), w.view());
  const ScaleOnlyHqq want =
      choose_qparams_and_quantize_scale_only_hqq(w.view(), {1, 32}, {-8, 7});
  expect_same_tensor(e.fields[1], want.scale);
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    ASSERT_EQ(e.fields[0].as<std::int8_t>()[i],
              want.qdata.as<std::int32_t>()[i]);
    ASSERT_EQ(e.fields[2].as<std::int8_t>()[i / 32], 0);
  }
}

// The first iteration moves the scale by less than the tolerance, and so ends
// the solver; a second one would move it again. One pass makes them all, so
// the encoder has to ask for another.
TEST(IntxTensorTest, HqqStopsWhereTheTensorDoes) {
  const HostTensor w(DType::Float32, {1, 1024});
  float* const x = w.as<float>();
  for (int i = 0; i < 1024; ++i) x[i] = static_cast<float>(i % 256 - 128);
  x[5] = 100.4f;  // code 100: the scale grows by 40 / sum of squares
  x[6] = 1.5f;    // code 2, and 1 with that scale
  IntxSpec spec = group_spec(DType::Int8, 1024);
  spec.algorithm = IntxChooseQParamsAlgorithm::HqqScaleOnly;
  const auto encoding = make_intx_encoding({1, 1024}, DType::Float32, spec);
  const ScaleOnlyHqq want = choose_qparams_and_quantize_scale_only_hqq(
      w.view(), {1, 1024}, {-128, 127});
  expect_same_tensor(encode(encoding, w.view()).fields[1], want.scale);
  const auto encoder = encoding->make_encoder();
  encoder->observe({0, 0, 1}, w.view());
  encoder->end_pass();
  EXPECT_TRUE(encoder->wants_pass());
  encoder->observe({0, 0, 1}, w.view());
  encoder->end_pass();
  EXPECT_FALSE(encoder->wants_pass());
}

RC_GTEST_PROP(IntxTensorProperty, CodesStayInRangeAndErrorsInAStep, ()) {
  const auto bits = *rc::gen::inRange(2, 9);
  const auto seed = *rc::gen::inRange(0u, 1000u);
  const auto target =
      bits == 8 ? DType::Int8
                : static_cast<DType>(static_cast<int>(DType::Int1) + bits - 1);
  const HostTensor w = affine_weight({5, 96}, DType::Float32, seed);
  IntxSpec spec = group_spec(target, 32);
  spec.mapping_type = MappingType::Asymmetric;
  const EncodedTensor e =
      encode(make_intx_encoding({5, 96}, DType::Float32, spec), w.view());
  const HostTensor back = e.decode();
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    const int code = e.fields[0].as<std::int8_t>()[i];
    RC_ASSERT(code >= -(1 << (bits - 1)) && code < (1 << (bits - 1)));
    // Half a step, and half a step more for the rounded zero point.
    RC_ASSERT(std::fabs(back.as<float>()[i] - w.as<float>()[i]) <=
              e.fields[1].as<float>()[i / 32] * 1.0001f);
  }
}

TEST(IntxTensorTest, SliceAndSelectDecodeToTheSame) {
  const HostTensor w = affine_weight({3, 8, 64}, DType::BFloat16);
  const EncodedTensor e =
      encode(make_intx_encoding(
                 {3, 8, 64}, DType::BFloat16, group_spec(DType::Int4, 16)),
             w.view());
  const HostTensor whole = e.decode();
  const EncodedTensor columns = e.encoding->slice(e.views(), 2, 16, 48);
  expect_same_tensor(columns.decode(), slice_dense(whole.view(), 2, 16, 48));
  const EncodedTensor rows = e.encoding->slice(e.views(), 1, 1, 4);
  expect_same_tensor(rows.decode(), slice_dense(whole.view(), 1, 1, 4));
  const EncodedTensor expert = e.encoding->select(e.views(), 1);
  const ConstTensorView want = select_dense(whole.view(), 1);
  const HostTensor got = expert.decode();
  EXPECT_EQ(got.shape(), want.shape);
  EXPECT_EQ(std::memcmp(got.data(), want.data, want.bytes().size()), 0);
  EXPECT_THAT(expert.encoding->attributes_json(),
              HasSubstr("\"block_size\": [1, 16]"));
  EXPECT_THAT(refusal_of(ErrorKind::Usage,
                         [&] { e.encoding->slice(e.views(), 2, 8, 32); }),
              HasSubstr("cuts blocks of 16"));
}

TEST(IntxTensorTest, ReadsAFloatingZeroPoint) {
  const auto encoding = intx_format().parse(
      R"({"target_dtype":{"_type":"torch.dtype","_data":"int2"},)"
      R"("block_size":[1,4],"dtype":{"_type":"torch.dtype",)"
      R"("_data":"float32"},"activation_quantization":null})",
      std::vector<FieldLayout>{{"qdata", DType::Int8, {1, 4}},
                               {"scale", DType::Float32, {1, 1}},
                               {"zero_point", DType::Float32, {1, 1}}});
  HostTensor q(DType::Int8, {1, 4});
  HostTensor scale(DType::Float32, {1, 1});
  HostTensor zero(DType::Float32, {1, 1});
  q.as<std::int8_t>()[2] = 1;
  *scale.as<float>() = 2.0f;
  *zero.as<float>() = -0.5f;
  const ConstTensorView views[] = {q.view(), scale.view(), zero.view()};
  EXPECT_EQ(encoding->decode(views).as<float>()[2], 3.0f);
  EXPECT_EQ(encoding->decode(views).as<float>()[0], 1.0f);
  EXPECT_THAT(refusal_of(ErrorKind::Usage, [&] { encoding->make_encoder(); }),
              HasSubstr("a floating zero point is read, not written"));
  q.as<std::int8_t>()[2] = 2;
  EXPECT_EQ(encoding->check_values(views),
            "qdata[0, 2] is 2, expected -2 to 1");
}

TEST(IntxTensorTest, HostileMetadataIsRefused) {
  const auto good =
      make_intx_encoding({2, 8}, DType::Float32, group_spec(DType::Int4, 4));
  const auto refuse = [&](const std::string& from, const std::string& to) {
    std::string text = good->attributes_json();
    text.replace(text.find(from), from.size(), to);
    return refusal_of(ErrorKind::Input,
                      [&] { intx_format().parse(text, good->fields()); });
  };
  EXPECT_THAT(refuse("\"int4\"", "\"uint4\""),
              HasSubstr("target_dtype: expected int1 to int8"));
  EXPECT_THAT(refuse("[1, 4]", "[1, 0]"), HasSubstr("got [1, 0]"));
  EXPECT_THAT(refuse("[1, 4]", "[1, 2]"),
              HasSubstr("scale: expected float32 [2, 4], got float32 [2, 2]"));
  EXPECT_THAT(refuse(": null", ": \"int4_tokens\""),
              HasSubstr("activation_quantization: expected null or "
                        "\"int8_asym_per_token\""));
  EXPECT_THAT(refuse("\"activation_quantization\": null", "\"x\": null"),
              HasSubstr("activation_quantization: expected null or a string, "
                        "got nothing"));
  auto fields = good->fields();
  fields.pop_back();
  EXPECT_THAT(
      refusal_of(ErrorKind::Input,
                 [&] { intx_format().parse(good->attributes_json(), fields); }),
      HasSubstr("field 'zero_point' is missing"));
}

TEST(IntxTensorTest, SpecsThatDoNotFitAreRefused) {
  const auto refuse = [](const IntxSpec& spec) {
    return refusal_of(ErrorKind::Usage, [&] {
      make_intx_encoding({2, 8}, DType::Float32, spec);
    });
  };
  EXPECT_THAT(refuse(group_spec(DType::UInt4, 4)),
              HasSubstr("target_dtype: expected int1 to int8, got uint4"));
  EXPECT_THAT(refuse(group_spec(DType::Int4, 3)),
              HasSubstr("PerGroup(3) does not fit"));
  IntxSpec spec;
  spec.granularity = PerAxis{1};
  EXPECT_THAT(refuse(spec),
              HasSubstr("granularity: expected PerGroup or PerAxis(0), got "
                        "PerAxis(1)"));
  spec = {};
  spec.scale_dtype = DType::Float64;
  EXPECT_THAT(refuse(spec), HasSubstr("scale_dtype: expected"));
  spec = {};
  spec.activation_quantization = "x";
  EXPECT_THAT(refuse(spec), HasSubstr("activation_quantization: expected"));
  spec = group_spec(DType::Int1, 4);
  spec.mapping_type = MappingType::SymmetricNoClippingErr;
  EXPECT_THAT(refuse(spec), HasSubstr("which is 0 for int1"));
}

TEST(IntxTensorTest, ScalesThatOverflowAreNamed) {
  HostTensor w(DType::Float32, {1, 4});
  w.as<float>()[0] = 1e30f;
  IntxSpec spec = group_spec(DType::Int8, 4);
  spec.scale_dtype = DType::Float16;
  EXPECT_THAT(refusal_of(ErrorKind::Input,
                         [&] {
                           encode(
                               make_intx_encoding({1, 4}, DType::Float32, spec),
                               w.view());
                         }),
              HasSubstr("overflows float16; use another scale dtype"));
  // Half the range of int1 is one step: the scale leaves even float32.
  w.as<float>()[0] = 3e38f;
  w.as<float>()[1] = -3e38f;
  spec = group_spec(DType::Int1, 4);
  spec.mapping_type = MappingType::Asymmetric;
  EXPECT_THAT(refusal_of(ErrorKind::Input,
                         [&] {
                           encode(
                               make_intx_encoding({1, 4}, DType::Float32, spec),
                               w.view());
                         }),
              HasSubstr("overflows float32; keep the tensor with --ignore"));
}

}  // namespace
}  // namespace mantissa
