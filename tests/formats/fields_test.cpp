#include "formats/fields.h"

#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>
#include <mantissa/formats/int8_tensor.h>

namespace mantissa::fields {
namespace {

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

TEST(FieldsTest, CopiesBytes) {
  HostTensor t(DType::Int16, {2, 2});
  t.as<std::int16_t>()[3] = 7;
  const HostTensor copy = copied(t.view());
  t.as<std::int16_t>()[3] = 8;
  EXPECT_EQ(copy.shape(), (Shape{2, 2}));
  EXPECT_EQ(copy.as<std::int16_t>()[3], 7);
  EXPECT_EQ(copied(HostTensor(DType::Int8, {0, 4}).view()).numel(), 0);
}

TEST(FieldsTest, ChecksNameFieldAndDifference) {
  const std::vector<FieldLayout> file = {{"qdata", DType::Int8, {4, 8}},
                                         {"bogus", DType::Int8, {1}}};
  EXPECT_EQ(find(file, "scale"), nullptr);
  EXPECT_EQ(find(file, "qdata")->shape, (Shape{4, 8}));
  EXPECT_THAT(message(ErrorKind::Input, [&] { require("T", file, "scale"); }),
              HasSubstr("T: field 'scale' is missing"));
  check("T", file, {"qdata", DType::Int8, {4, 8}});
  EXPECT_THAT(
      message(ErrorKind::Input,
              [&] { check("T", file, {"qdata", DType::Int8, {4, 4}}); }),
      HasSubstr("T: qdata: expected int8 [4, 4], got int8 [4, 8]"));
  EXPECT_THAT(message(ErrorKind::Input,
                      [&] { check_names("T", file, {"qdata", "scale"}); }),
              HasSubstr("T: unknown field 'bogus', expected qdata, scale"));
}

TEST(FieldsTest, CountsFieldsAsTheEncodingDoes) {
  const auto encoding = make_int8_encoding({4, 8}, DType::Float32, {});
  EXPECT_EQ(index(*encoding, "qdata"), 0u);
  EXPECT_EQ(index(*encoding, "zero_point"), 2u);
  EXPECT_EQ(index(*encoding, "act_quant_scale"), std::nullopt);
}

TEST(FieldsTest, ChecksCuts) {
  check_slice("T", {4, 8}, 1, 8, 8);
  EXPECT_THAT(
      message(ErrorKind::Usage, [] { check_slice("T", {4, 8}, 2, 0, 1); }),
      HasSubstr("T: slice: dim: expected 0 to 1 for shape [4, 8], got 2"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [] { check_slice("T", {4, 8}, 0, 2, 5); }),
      HasSubstr("0 <= begin <= end <= 4 in dimension 0 of [4, 8], got [2, 5)"));
  check_select("T", {2, 4, 8}, 1);
  EXPECT_THAT(message(ErrorKind::Usage, [] { check_select("T", {4, 8}, 0); }),
              HasSubstr("T: select: expected a 3-D tensor, got shape [4, 8]"));
  EXPECT_THAT(
      message(ErrorKind::Usage, [] { check_select("T", {2, 4, 8}, 2); }),
      HasSubstr("T: select: index: expected 0 to 1, got 2"));
}

TEST(FieldsTest, NamesTheFirstNonFiniteElement) {
  HostTensor t(DType::Float32, {2, 3});
  EXPECT_EQ(describe_nonfinite("scale", t.view()), "");
  t.as<float>()[4] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(describe_nonfinite("scale", t.view()),
            "scale[1, 1] is NaN or infinite");
}

}  // namespace
}  // namespace mantissa::fields
