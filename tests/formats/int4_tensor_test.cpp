#include <mantissa/formats/int4_tensor.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/registry.h>
#include <mantissa/primitives/convert.h>

#include "formats/dense_slice.h"
#include "support/encode_blocks.h"
#include "support/int4_samples.h"

namespace mantissa {
namespace {

using support::awkward_weight;
using support::encode_in_blocks;
using support::same_fields;
using ::testing::HasSubstr;

template <class Act>
std::string message(ErrorKind kind, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

std::vector<double> values(ConstTensorView tensor) {
  const HostTensor wide = converted(tensor, DType::Float32);
  return {wide.as<float>(), wide.as<float>() + wide.numel()};
}

int signed_code(const EncodedTensor& t, std::int64_t row, std::int64_t column) {
  const std::int64_t half = t.encoding->shape().back() / 2;
  const auto byte = t.fields[0].as<std::uint8_t>()[row * half + column / 2];
  const int nibble = column % 2 == 0 ? byte & 0xf : byte >> 4;
  return nibble >= 8 ? nibble - 16 : nibble;
}

const EncodedTensor parsed(const EncodedTensor& tensor) {
  const auto* format = find_format("Int4Tensor");
  const auto encoding = format->parse(tensor.encoding->attributes_json(),
                                      tensor.encoding->fields());
  return {encoding, tensor.fields};
}

class Int4TensorTest : public testing::TestWithParam<std::tuple<DType, DType>> {
 protected:
  DType dtype() const { return std::get<0>(GetParam()); }
  Int4Spec spec(std::int64_t group_size) const {
    return {group_size, std::get<1>(GetParam())};
  }
};

TEST_P(Int4TensorTest, DecodesToTheFormulaRoundedOnce) {
  const HostTensor w = awkward_weight(dtype(), {2, 9, 96});
  const EncodedTensor t =
      encode(make_int4_encoding(w.shape(), dtype(), spec(32)), w.view());
  const std::vector<double> scale = values(t.fields[1].view());
  const std::vector<double> zero = values(t.fields[2].view());
  const HostTensor found = t.decode();
  ASSERT_EQ(found.shape(), w.shape());
  ASSERT_EQ(found.dtype(), dtype());
  const std::vector<double> back = values(found.view());
  const double eps = dtype() == DType::Float32    ? 0x1p-24
                     : dtype() == DType::BFloat16 ? 0x1p-8
                                                  : 0x1p-11;
  const double smallest = dtype() == DType::Float16 ? 0x1p-25 : 0x1p-134;
  for (std::int64_t row = 0; row < 18; ++row) {
    for (std::int64_t k = 0; k < 96; ++k) {
      const auto at =
          static_cast<std::size_t>((row / 9 * 3 + k / 32) * 9 + row % 9);
      const double exact = signed_code(t, row, k) * scale[at] + zero[at];
      ASSERT_LE(std::abs(back[static_cast<std::size_t>(row * 96 + k)] - exact),
                eps * std::abs(exact) + smallest)
          << "row " << row << " column " << k;
    }
  }
}

TEST_P(Int4TensorTest, ErrorIsAtMostHalfAStep) {
  const HostTensor w = awkward_weight(dtype(), {16, 128});
  const EncodedTensor t =
      encode(make_int4_encoding(w.shape(), dtype(), spec(64)), w.view());
  const std::vector<double> x = values(w.view());
  const std::vector<double> back = values(t.decode().view());
  const std::vector<double> scale = values(t.fields[1].view());
  const std::vector<double> zero = values(t.fields[2].view());
  const bool symmetric = std::get<1>(GetParam()) != DType::BFloat16;
  // Scale and zero point are stored in the weight's dtype: each may be off by
  // half a last place, the scale eight times.
  const double eps = dtype() == DType::Float32    ? 0x1p-22
                     : dtype() == DType::BFloat16 ? 0x1p-8
                                                  : 0x1p-11;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t at = (i % 128 / 64) * 16 + i / 128;
    const int code = signed_code(t,
                                 static_cast<std::int64_t>(i / 128),
                                 static_cast<std::int64_t>(i % 128));
    const double half = symmetric && code == 7 ? 1.0 : 0.5;
    const double bound =
        half * scale[at] +
        eps * (9 * scale[at] + 2 * std::abs(zero[at]) + std::abs(x[i])) +
        (dtype() == DType::Float16 ? 0x1p-20 : 0.0);
    ASSERT_LE(std::abs(back[i] - x[i]), bound) << "element " << i;
  }
}

TEST_P(Int4TensorTest, BlocksOfAnySizeGiveTheSameBytes) {
  for (const Shape& shape : {Shape{37, 96}, Shape{3, 10, 64}, Shape{1, 32}}) {
    const HostTensor w = awkward_weight(dtype(), shape);
    const auto encoding = make_int4_encoding(shape, dtype(), spec(32));
    const EncodedTensor whole = encode(encoding, w.view());
    for (const std::int64_t rows : {1, 2, 7, 10, 64}) {
      EXPECT_TRUE(
          same_fields(encode_in_blocks(encoding, w.view(), rows), whole))
          << to_string(shape) << " in blocks of " << rows;
    }
  }
}

TEST_P(Int4TensorTest, SlicesCommuteWithEncoding) {
  const HostTensor w = awkward_weight(dtype(), {3, 10, 96});
  const EncodedTensor t =
      encode(make_int4_encoding(w.shape(), dtype(), spec(32)), w.view());
  struct Cut {
    std::int64_t dim, begin, end;
  };
  for (const Cut& cut : {Cut{0, 1, 3},
                         Cut{1, 3, 8},
                         Cut{2, 32, 96},
                         Cut{2, 0, 32},
                         Cut{1, 4, 4},
                         Cut{2, 96, 96}}) {
    const HostTensor part = slice_dense(w.view(), cut.dim, cut.begin, cut.end);
    const EncodedTensor expected = encode(
        make_int4_encoding(part.shape(), dtype(), spec(32)), part.view());
    const EncodedTensor found =
        t.encoding->slice(t.views(), cut.dim, cut.begin, cut.end);
    EXPECT_TRUE(same_fields(found, expected)) << "dim " << cut.dim;
    EXPECT_EQ(found.encoding->shape(), part.shape());
    EXPECT_EQ(found.encoding->attributes_json(),
              expected.encoding->attributes_json());
  }
  for (std::int64_t e = 0; e < 3; ++e) {
    const ConstTensorView one = select_dense(w.view(), e);
    EXPECT_TRUE(same_fields(
        t.encoding->select(t.views(), e),
        encode(make_int4_encoding({10, 96}, dtype(), spec(32)), one)));
  }
}

TEST_P(Int4TensorTest, ParsesWhatItWrites) {
  const HostTensor w = awkward_weight(dtype(), {6, 64});
  const EncodedTensor t =
      encode(make_int4_encoding(w.shape(), dtype(), spec(16)), w.view());
  const EncodedTensor again = parsed(t);
  EXPECT_EQ(again.encoding->shape(), w.shape());
  EXPECT_EQ(again.encoding->dtype(), dtype());
  EXPECT_EQ(again.encoding->attributes_json(), t.encoding->attributes_json());
  const HostTensor a = again.decode();
  const HostTensor b = t.decode();
  EXPECT_EQ(
      std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.nbytes())), 0);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    Int4TensorTest,
    testing::Combine(
        testing::Values(DType::BFloat16, DType::Float16, DType::Float32),
        testing::Values(DType::BFloat16, DType::Float8E4M3FN)));

TEST(Int4TensorFormatTest, FieldsAndMetadataOfTorchao) {
  const auto encoding = make_int4_encoding({256, 1024}, DType::BFloat16, {128});
  EXPECT_EQ(encoding->format_name(), "Int4Tensor");
  EXPECT_EQ(encoding->required_fields(), 3u);
  const auto fields = encoding->fields();
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].name, "qdata");
  EXPECT_EQ(fields[0].dtype, DType::Int8);
  EXPECT_EQ(fields[0].shape, (Shape{256, 512}));
  EXPECT_EQ(fields[1].name, "scale");
  EXPECT_EQ(fields[1].dtype, DType::BFloat16);
  EXPECT_EQ(fields[1].shape, (Shape{8, 256}));
  EXPECT_EQ(fields[2].name, "zero_point");
  EXPECT_EQ(fields[2].shape, (Shape{8, 256}));
  EXPECT_EQ(encoding->attributes_json(),
            R"({"activation_dtype": {"_type": "torch.dtype", "_data": )"
            R"("bfloat16"}, "block_size": [1, 128], "shape": [256, 1024]})");
  EXPECT_EQ(
      make_int4_encoding({4, 8, 64}, DType::Float32, {32, DType::Float8E4M3FN})
          ->attributes_json(),
      R"({"activation_dtype": {"_type": "torch.dtype", "_data": )"
      R"("float8_e4m3fn"}, "block_size": [1, 1, 32], )"
      R"("shape": [4, 8, 64]})");
}

TEST(Int4TensorFormatTest, ActPreScaleTravelsAndIsCutWithK) {
  const HostTensor w = awkward_weight(DType::BFloat16, {2, 4, 64});
  EncodedTensor t =
      encode(make_int4_encoding(w.shape(), DType::BFloat16, {32}), w.view());
  HostTensor pre(DType::BFloat16, {64});
  for (std::int64_t i = 0; i < 64; ++i) {
    pre.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(0x3f80 + i);
  }
  std::vector<FieldLayout> layouts = t.encoding->fields();
  layouts.push_back({"act_pre_scale", DType::BFloat16, {64}});
  t.fields.push_back(pre);
  t.encoding =
      find_format("Int4Tensor")->parse(t.encoding->attributes_json(), layouts);
  ASSERT_EQ(t.encoding->fields().size(), 4u);
  EXPECT_EQ(t.encoding->required_fields(), 3u);
  EXPECT_EQ(t.encoding->fields()[3].name, "act_pre_scale");
  const EncodedTensor cut = t.encoding->slice(t.views(), 2, 32, 64);
  EXPECT_EQ(cut.encoding->fields()[3].shape, (Shape{32}));
  EXPECT_EQ(cut.fields[3].as<std::uint16_t>()[0], 0x3f80 + 32);
  EXPECT_EQ(t.encoding->slice(t.views(), 1, 0, 2).fields[3].shape(),
            (Shape{64}));
  const EncodedTensor expert = t.encoding->select(t.views(), 1);
  EXPECT_EQ(expert.encoding->fields().size(), 4u);
  EXPECT_EQ(expert.fields[3].shape(), (Shape{64}));
  EXPECT_THAT(message(ErrorKind::Usage, [&] { t.encoding->make_encoder(); }),
              HasSubstr("act_pre_scale comes from calibration"));
  layouts[3].shape = {63};
  EXPECT_THAT(message(ErrorKind::Input,
                      [&] {
                        find_format("Int4Tensor")
                            ->parse(t.encoding->attributes_json(), layouts);
                      }),
              HasSubstr("act_pre_scale: expected a float tensor"));
}

TEST(Int4TensorFormatTest, ReadsEntriesWithoutActivationDtype) {
  const auto encoding = make_int4_encoding({4, 64}, DType::BFloat16, {32});
  for (const char* text : {R"({"block_size": [1, 32], "shape": [4, 64]})",
                           R"({"activation_dtype": null,)"
                           R"("block_size": [1, 32], "shape": [4, 64]})"}) {
    EXPECT_EQ(find_format("Int4Tensor")
                  ->parse(text, encoding->fields())
                  ->attributes_json(),
              encoding->attributes_json());
  }
}

TEST(Int4TensorFormatTest, RefusesWhatDoesNotFit) {
  const auto make = [](Shape shape, DType dtype, Int4Spec spec) {
    return message(ErrorKind::Usage,
                   [&] { make_int4_encoding(shape, dtype, spec); });
  };
  EXPECT_THAT(make({64}, DType::BFloat16, {32}),
              HasSubstr("Int4Tensor: shape: expected [N, K] or [E, N, K]"));
  EXPECT_THAT(make({4, 576}, DType::BFloat16, {128}),
              HasSubstr("expected a divisor of K = 576 above 1, got 128"));
  EXPECT_THAT(make({4, 9}, DType::BFloat16, {3}), HasSubstr("an even K"));
  EXPECT_THAT(make({4, 64}, DType::Float64, {32}),
              HasSubstr("dtype: expected bfloat16, float16 or float32"));
  EXPECT_THAT(
      make({4, 64}, DType::BFloat16, {32, DType::Int8}),
      HasSubstr("activation_dtype: expected bfloat16 or float8_e4m3fn"));

  const auto encoding = make_int4_encoding({4, 64}, DType::BFloat16, {32});
  const auto parse = [&](const char* text, std::vector<FieldLayout> fields) {
    return message(ErrorKind::Input,
                   [&] { find_format("Int4Tensor")->parse(text, fields); });
  };
  const auto fields = encoding->fields();
  EXPECT_THAT(parse(R"({"block_size": [1, 32], "shape": [4, 128]})", fields),
              HasSubstr("qdata: expected int8 [4, 64], got int8 [4, 32]"));
  EXPECT_THAT(parse(R"({"block_size": [2, 32], "shape": [4, 64]})", fields),
              HasSubstr("block_size"));
  EXPECT_THAT(parse(R"({"block_size": [], "shape": []})", fields),
              HasSubstr("block_size"));
  EXPECT_THAT(parse(R"({"block_size": [1, 0], "shape": [4, 64]})", fields),
              HasSubstr("group_size"));
  EXPECT_THAT(parse(R"({"block_size": [1, 32], "shape": [-4, 64]})", fields),
              HasSubstr("negative extent"));
  EXPECT_THAT(
      parse(R"({"block_size": [1, 32], "shape": [4, 64], "x": 1})", fields),
      HasSubstr("unknown attribute 'x'"));
  EXPECT_THAT(parse(R"({"block_size": [1, 32], "shape": [4, 64]})",
                    {fields[0], fields[1]}),
              HasSubstr("field 'zero_point' is missing"));
}

TEST(Int4TensorFormatTest, RefusesCutsInsideAGroup) {
  const HostTensor w = awkward_weight(DType::BFloat16, {4, 64});
  const EncodedTensor t =
      encode(make_int4_encoding(w.shape(), DType::BFloat16, {32}), w.view());
  EXPECT_THAT(message(ErrorKind::Usage,
                      [&] { t.encoding->slice(t.views(), 1, 16, 64); }),
              HasSubstr("[16, 64) of dimension 1 cuts a group of 32"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->slice(t.views(), 0, 0, 5); }),
      HasSubstr("0 <= begin <= end <= 4"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [&] { t.encoding->select(t.views(), 0); }),
      HasSubstr("expected a 3-D tensor"));
}

TEST(Int4TensorFormatTest, FindsNonFiniteValues) {
  const HostTensor w = awkward_weight(DType::Float32, {4, 64});
  EncodedTensor t =
      encode(make_int4_encoding(w.shape(), DType::Float32, {32}), w.view());
  EXPECT_EQ(t.encoding->check_values(t.views()), "");
  t.fields[2].as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(t.encoding->check_values(t.views()),
            "zero_point[1, 1] is NaN or infinite");
}

TEST(Int4TensorFormatTest, RefusesNonFiniteWeights) {
  const HostTensor w = awkward_weight(DType::Float32, {2, 3, 64});
  w.as<float>()[64 * 4 + 7] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(
      message(ErrorKind::Input,
              [&] {
                encode(make_int4_encoding(w.shape(), DType::Float32, {32}),
                       w.view());
              }),
      ::testing::AllOf(HasSubstr("Int4Tensor"), HasSubstr("[1, 1, 7]")));
}

}  // namespace
}  // namespace mantissa
