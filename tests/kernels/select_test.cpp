#include "kernels/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mantissa::kernels {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr Caps kEverything{true, true, true, true, true};

std::string refusal(const std::string& value, const Caps& caps) {
  try {
    check_forced_kernels(value, caps);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Usage);
    return e.what();
  }
  return {};
}

TEST(ForcedKernels, EveryRowMayBeForced) {
  for (const KernelInfo& row : all_kernels(kEverything)) {
    EXPECT_EQ(refusal(row.op + "=" + row.name, kEverything), "") << row.name;
  }
  EXPECT_EQ(refusal("", kEverything), "");
  EXPECT_EQ(
      refusal("convert=convert_ref,error_sums=error_sums_avx2", kEverything),
      "");
}

TEST(ForcedKernels, TilesThatAreNotGrantedAreNamed) {
  const Caps refused = {true, true, true, true, false, true};
  for (const std::string op : {"linear_int8=linear_i8dyn_i8c_amx",
                               "linear_lowbit=linear_i8dyn_ixg_amx"}) {
    EXPECT_THAT(refusal(op, refused), HasSubstr("does not grant AMX tiles"));
    EXPECT_THAT(refusal(op, {}), HasSubstr("needs AMX-INT8"));
  }
}

TEST(LimitCaps, LevelsBelowAmxSwitchItOff) {
  EXPECT_TRUE(limit_caps(kEverything, "amx").amx_int8);
  EXPECT_TRUE(limit_caps(kEverything, "").amx_int8);
  for (const char* level : {"avx512", "avx2", "scalar"}) {
    EXPECT_FALSE(limit_caps(kEverything, level).amx_int8) << level;
  }
  EXPECT_TRUE(limit_caps(kEverything, "avx512").avx512);
  EXPECT_FALSE(limit_caps(kEverything, "avx2").avx512);
  EXPECT_TRUE(limit_caps(kEverything, "avx2").avx2);
}

TEST(ForcedKernels, WhatCannotBeMeantIsRefused) {
  EXPECT_THAT(refusal("foo", kEverything),
              AllOf(HasSubstr("MANTISSA_KERNEL: expected OP=NAME"),
                    HasSubstr("got 'foo'")));
  EXPECT_THAT(refusal("convert=convert_ref,", kEverything),
              HasSubstr("got ''"));
  EXPECT_THAT(refusal("foo=bar", kEverything),
              AllOf(HasSubstr("no operator 'foo'"),
                    HasSubstr("absmax_runs, convert, decode_ops, ")));
  EXPECT_THAT(refusal("convert=bar", kEverything),
              AllOf(HasSubstr("convert has no kernel 'bar'"),
                    HasSubstr("convert_avx512, convert_avx2, convert_ref")));
  EXPECT_THAT(refusal("convert=convert_avx2", {}),
              HasSubstr("convert_avx2 refuses here: needs AVX2"));
  EXPECT_THAT(refusal("convert=convert_ref,convert=convert_ref", kEverything),
              HasSubstr("'convert' stands in it twice"));
}

}  // namespace
}  // namespace mantissa::kernels
