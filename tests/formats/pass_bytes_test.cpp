#include <gtest/gtest.h>

#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/nf4_tensor.h>

namespace mantissa {
namespace {

// Worked out from what each encoder's members hold. HQQ: plan_test.cpp.
TEST(PassBytes, AreWhatStandsBetweenThePasses) {
  const Shape shape = {256, 512};
  const DType dtype = DType::BFloat16;
  const auto int8 = [&](const Granularity& granularity) {
    return make_int8_encoding(shape, dtype, {.granularity = granularity})
        ->pass_bytes();
  };
  EXPECT_EQ(int8(PerRow{}), 0);
  EXPECT_EQ(int8(PerGroup{64}), 0);
  // Smallest, largest, scale, reciprocal and zero point of each block.
  EXPECT_EQ(int8(PerTensor{}), 20);
  const auto float8 = [&](const Granularity& granularity) {
    return make_float8_encoding(shape, dtype, {.granularity = granularity})
        ->pass_bytes();
  };
  EXPECT_EQ(float8(PerRow{}), 0);
  EXPECT_EQ(float8(PerTensor{}), 4);
  // 131072 / 64 scalers and a factor for 256 of them.
  EXPECT_EQ(make_nf4_encoding(shape, dtype, {})->pass_bytes(), 4 * (2048 + 8));
}

}  // namespace
}  // namespace mantissa
