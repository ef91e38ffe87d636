#include "formats/dense_slice.h"

#include <gtest/gtest.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

HostTensor counting(Shape shape) {
  HostTensor out(DType::Int32, shape);
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    out.as<std::int32_t>()[i] = static_cast<std::int32_t>(i);
  }
  return out;
}

TEST(DenseSliceTest, EachDimension) {
  const HostTensor x = counting({2, 3, 4});
  for (std::int64_t dim = 0; dim < 3; ++dim) {
    const HostTensor part = slice_dense(x.view(), dim, 1, 2);
    Shape expected = {2, 3, 4};
    expected[static_cast<std::size_t>(dim)] = 1;
    ASSERT_EQ(part.shape(), expected);
    const std::int64_t stride[] = {12, 4, 1};
    EXPECT_EQ(part.as<std::int32_t>()[0], stride[dim]);
  }
  EXPECT_EQ(slice_dense(x.view(), 1, 1, 3).as<std::int32_t>()[8], 16);
  EXPECT_EQ(slice_dense(x.view(), 2, 4, 4).numel(), 0);
  EXPECT_EQ(select_dense(x.view(), 1).as<std::int32_t>()[5], 17);
}

TEST(DenseSliceTest, RefusesRangesOutside) {
  const HostTensor x = counting({2, 3});
  EXPECT_THROW(slice_dense(x.view(), 2, 0, 1), Error);
  EXPECT_THROW(slice_dense(x.view(), 0, 1, 3), Error);
  EXPECT_THROW(slice_dense(x.view(), 0, 2, 1), Error);
  EXPECT_THROW(select_dense(x.view(), 2), Error);
}

}  // namespace
}  // namespace mantissa
