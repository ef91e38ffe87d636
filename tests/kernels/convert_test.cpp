#include "kernels/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/float_casts.h>

namespace mantissa {
namespace {

using ::testing::HasSubstr;

constexpr DType kFast[] = {DType::Float32, DType::BFloat16, DType::Float16};

// All 2^16 patterns of a 16-bit type; for float32 those as upper halves, with
// lower halves that make ties, neighbours of ties and plain values.
HostTensor all_patterns(DType dtype) {
  const std::int64_t lows = dtype == DType::Float32 ? 6 : 1;
  HostTensor out(dtype, {0x10000 * lows});
  for (std::uint32_t high = 0; high < 0x10000; ++high) {
    if (dtype == DType::Float32) {
      constexpr std::uint32_t kLow[] = {0, 1, 0x1000, 0x7fff, 0x8000, 0x8001};
      for (int i = 0; i < 6; ++i) {
        out.as<std::uint32_t>()[high * 6 + i] = (high << 16) | kLow[i];
      }
    } else {
      out.as<std::uint16_t>()[high] = static_cast<std::uint16_t>(high);
    }
  }
  return out;
}

TEST(ConvertTest, EveryKernelEqualsTheReference) {
  for (const DType from : kFast) {
    const HostTensor in = all_patterns(from);
    for (const DType to : kFast) {
      const kernels::ConvertProblem problem{from, to};
      HostTensor expected(to, in.shape());
      kernels::run_convert_ref(problem,
                               {in.data(), expected.data(), in.numel()});
      for (const auto& kernel : kernels::convert_kernels()) {
        if (kernel.refuses(problem, kernels::host_caps()) != nullptr) continue;
        HostTensor out(to, in.shape());
        kernel.run(problem, {in.data(), out.data(), in.numel()});
        EXPECT_EQ(std::memcmp(out.data(),
                              expected.data(),
                              static_cast<std::size_t>(out.nbytes())),
                  0)
            << kernel.name << " " << name(from) << " to " << name(to);
      }
    }
  }
}

TEST(ConvertTest, EveryCountAndOffset) {
  const HostTensor in = all_patterns(DType::BFloat16);
  for (const std::int64_t count : {0, 1, 7, 8, 9, 15, 16, 17, 48, 1031}) {
    for (const auto& kernel : kernels::convert_kernels()) {
      for (const DType to : {DType::Float32, DType::Float16}) {
        const kernels::ConvertProblem problem{DType::BFloat16, to};
        if (kernel.refuses(problem, kernels::host_caps()) != nullptr) continue;
        HostTensor out(to, {count + 1});
        const std::byte* from = in.data() + 2 * (0x3f80 + 1);
        kernel.run(problem, {from, out.data(), count});
        HostTensor expected(to, {count + 1});
        kernels::run_convert_ref(problem, {from, expected.data(), count});
        EXPECT_EQ(std::memcmp(out.data(),
                              expected.data(),
                              static_cast<std::size_t>(out.nbytes())),
                  0)
            << kernel.name << " count " << count;
      }
    }
  }
}

TEST(ConvertTest, BetweenAllRealTypes) {
  HostTensor in(DType::Float32, {4});
  const float values[] = {-1.5f, 0.0f, 2.0f, 4.0f};
  std::memcpy(in.data(), values, sizeof(values));
  for (int i = 0; i <= static_cast<int>(DType::Float4E2M1); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_floating_point(dtype) || dtype == DType::Float8E8M0FNU) continue;
    const HostTensor there = converted(in.view(), dtype);
    const HostTensor back = converted(there.view(), DType::Float32);
    for (int k = 0; k < 4; ++k) {
      EXPECT_EQ(back.as<float>()[k], values[k]) << name(dtype);
    }
  }
}

TEST(ConvertTest, PackedCodesStandLowBitsFirst) {
  HostTensor in(DType::Float32, {4});
  const float values[] = {0.125f, 0.25f, -0.125f, 7.5f};  // codes 1 2 0x21 0x1f
  std::memcpy(in.data(), values, sizeof(values));
  const HostTensor six = converted(in.view(), DType::Float6E2M3);
  const std::uint32_t packed = 1u | 2u << 6 | 0x21u << 12 | 0x1fu << 18;
  ASSERT_EQ(six.nbytes(), 3);
  EXPECT_EQ(std::memcmp(six.data(), &packed, 3), 0);
  const HostTensor four = converted(in.view(), DType::Float4E2M1);
  const std::uint8_t nibbles[] = {0x00, 0x78};  // 0 (ties to even) 0, -0, 6
  EXPECT_EQ(std::memcmp(four.data(), nibbles, 2), 0);
}

TEST(ConvertTest, IntegersAndDoubles) {
  HostTensor in(DType::Int64, {3});
  in.as<std::int64_t>()[0] = -3;
  in.as<std::int64_t>()[1] = (std::int64_t{1} << 53) - 1;
  in.as<std::int64_t>()[2] = 257;
  const HostTensor wide = converted(in.view(), DType::Float64);
  EXPECT_EQ(wide.as<double>()[1], 9007199254740991.0);
  const HostTensor half = converted(in.view(), DType::BFloat16);
  EXPECT_EQ(bfloat16_to_float(half.as<std::uint16_t>()[0]), -3.0f);
  EXPECT_EQ(bfloat16_to_float(half.as<std::uint16_t>()[2]), 256.0f);
  HostTensor flags(DType::Bool, {2});
  flags.as<std::uint8_t>()[1] = 1;
  EXPECT_EQ(converted(flags.view(), DType::Float32).as<float>()[1], 1.0f);
}

TEST(ConvertTest, SaysWhatItCannotDo) {
  const HostTensor in(DType::Complex64, {2});
  try {
    converted(in.view(), DType::Float32);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_THAT(error.what(), HasSubstr("from complex64 to float32"));
  }
  HostTensor integers(DType::Int8, {2});
  EXPECT_THROW(converted(integers.view(), DType::Int32), Error);
  HostTensor small(DType::Float32, {1});
  EXPECT_THROW(convert(integers.view(), small.mutable_view()), Error);
  EXPECT_THROW(find_nonfinite(in.view()), Error);
}

TEST(FindNonfiniteTest, FindsTheFirstInEveryKernel) {
  for (const DType dtype : kFast) {
    for (const std::int64_t count : {0, 1, 31, 32, 33, 95, 1000}) {
      for (std::int64_t bad = 0; bad <= count; bad += 1 + count / 7) {
        HostTensor in(DType::Float32, {count});
        for (std::int64_t i = bad; i < count; i += 3) {
          in.as<float>()[i] = i % 2 == 0
                                  ? -std::numeric_limits<float>::infinity()
                                  : std::numeric_limits<float>::quiet_NaN();
        }
        const HostTensor x = converted(in.view(), dtype);
        for (const auto& kernel : kernels::find_nonfinite_kernels()) {
          const kernels::FindNonfiniteProblem problem{dtype};
          if (kernel.refuses(problem, kernels::host_caps()) != nullptr) {
            continue;
          }
          EXPECT_EQ(kernel.run(problem, {x.data(), count}), bad)
              << kernel.name << " " << name(dtype) << " count " << count;
        }
      }
    }
  }
}

TEST(FindNonfiniteTest, OtherTypes) {
  HostTensor x(DType::Float8E4M3FN, {300});
  EXPECT_EQ(find_nonfinite(x.view()), std::nullopt);
  x.as<std::uint8_t>()[280] = 0x7f;
  EXPECT_EQ(find_nonfinite(x.view()), 280);
  HostTensor wide(DType::Float64, {3});
  wide.as<double>()[1] = 1e300;  // infinite as a float32, finite here
  EXPECT_EQ(find_nonfinite(wide.view()), std::nullopt);
  EXPECT_EQ(find_nonfinite(HostTensor(DType::Int32, {5}).view()), std::nullopt);
}

}  // namespace
}  // namespace mantissa
