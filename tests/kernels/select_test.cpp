#include "kernels/select.h"

#include <cstdlib>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/attention_bf16.h"
#include "kernels/convert.h"
#include "kernels/linear_int8.h"
#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/names.h"
#include "kernels/quantize_int4.h"

namespace mantissa::kernels {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A machine with AMX whose system keeps it from this process.
constexpr Caps kTilesRefused = {.avx2 = true,
                                .avx512 = true,
                                .avx512vnni = true,
                                .avx512bf16 = true,
                                .amx_refused = true};

// MANTISSA_KERNEL for as long as it lives.
class Forced {
 public:
  explicit Forced(const char* value) { setenv("MANTISSA_KERNEL", value, 1); }
  ~Forced() { unsetenv("MANTISSA_KERNEL"); }
  Forced(const Forced&) = delete;
};

std::string lowbit_row(const LinearLowbitProblem& problem, const Caps& caps) {
  return select("linear_lowbit", linear_lowbit_kernels(), problem, caps).name;
}
std::string bf16_row(const LinearLowbitBf16Problem& problem, const Caps& caps) {
  return select(
             "linear_lowbit_bf16", linear_lowbit_bf16_kernels(), problem, caps)
      .name;
}
std::string int8_row(const LinearInt8Problem& problem, const Caps& caps) {
  return select("linear_int8", linear_int8_kernels(), problem, caps).name;
}
std::string convert_row(const ConvertProblem& problem, const Caps& caps) {
  return select("convert", convert_kernels(), problem, caps).name;
}

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
  for (const KernelInfo& row : all_kernels(kEveryCap)) {
    EXPECT_EQ(refusal(row.op + "=" + row.name, kEveryCap), "") << row.name;
  }
  EXPECT_EQ(refusal("", kEveryCap), "");
  EXPECT_EQ(
      refusal("convert=convert_ref,error_sums=error_sums_avx2", kEveryCap), "");
}

TEST(ForcedKernels, TilesThatAreNotGrantedAreNamed) {
  const std::string bf16 = "linear_lowbit_bf16=linear_bf16_ixg_amx";
  const std::string attention = "attention_bf16=attention_bf16_amx";
  for (const std::string& op :
       {std::string("linear_int8=linear_i8dyn_i8c_amx"),
        std::string("linear_lowbit=linear_i8dyn_ixg_amx"),
        bf16,
        attention}) {
    EXPECT_THAT(refusal(op, kTilesRefused),
                HasSubstr("does not grant AMX tiles"));
    EXPECT_THAT(refusal(op, {}),
                HasSubstr(op == bf16 || op == attention ? "needs AMX-BF16"
                                                        : "needs AMX-INT8"));
  }
}

TEST(ForcedKernels, WhatTheProblemRefusesGoesToTheRowsBelow) {
  const Forced forced(
      "linear_lowbit=linear_i8dyn_ixg_amx,linear_int8=linear_i8dyn_i8c_amx,"
      "convert=convert_avx2,quantize_int4=quantize_int4_avx512");
  EXPECT_EQ(lowbit_row({.m = 32}, kEveryCap), "linear_i8dyn_ixg_amx");
  EXPECT_EQ(lowbit_row({.m = 31}, kEveryCap), "linear_i8dyn_ixg_avx512vnni");
  EXPECT_EQ(lowbit_row({.m = 512, .segment = 32}, kEveryCap),
            "linear_i8dyn_ixg_avx512vnni");
  EXPECT_EQ(int8_row({.m = 32}, kEveryCap), "linear_i8dyn_i8c_amx");
  EXPECT_EQ(int8_row({.m = 1}, kEveryCap), "linear_i8dyn_i8c_avx512vnni");
  EXPECT_EQ(int8_row({.m = 32, .k = kInt8SumColumns + 1}, kEveryCap),
            "linear_i8dyn_i8c_ref");
  // A row below the preferred one stays the first.
  EXPECT_EQ(convert_row({DType::BFloat16, DType::Float32}, kEveryCap),
            "convert_avx2");
  EXPECT_EQ(convert_row({DType::Int8, DType::Float32}, kEveryCap),
            "convert_ref");
  EXPECT_STREQ(select("quantize_int4",
                      quantize_int4_kernels(),
                      QuantizeInt4Problem{DType::BFloat16, 24},
                      kEveryCap)
                   .name,
               "quantize_int4_avx2");
}

// Rows of x are arranged before a weight is known, and read by what was asked
// then.
TEST(SelectKernel, Bf16ProductsReadRowsAsTheyStand) {
  EXPECT_EQ(bf16_row({.m = 5}, kEveryCap), "linear_bf16_ixg_amx");
  EXPECT_EQ(bf16_row({.m = 4}, kEveryCap), "linear_bf16_ixg_avx512bf16");
  EXPECT_EQ(bf16_row({.m = 512, .panel = 16}, kEveryCap),
            "linear_bf16_ixg_amx");
  EXPECT_EQ(bf16_row({.m = 512, .panel = 8}, kEveryCap),
            "linear_bf16_ixg_avx512bf16");
  EXPECT_EQ(bf16_row({.m = 512}, kTilesRefused), "linear_bf16_ixg_avx512bf16");
  EXPECT_EQ(bf16_row({.m = 512, .panel = 16}, kTilesRefused),
            "linear_bf16_ixg_ref");
  const Forced forced("linear_lowbit_bf16=linear_bf16_ixg_avx512bf16");
  EXPECT_EQ(bf16_row({.m = 512}, kEveryCap), "linear_bf16_ixg_avx512bf16");
  EXPECT_EQ(bf16_row({.m = 512, .panel = 16}, kEveryCap),
            "linear_bf16_ixg_ref");
  for (const auto& kernel : linear_lowbit_bf16_kernels()) {
    const std::int32_t panel = kernel.panel_of(512);
    EXPECT_EQ(kernel.refuses({.m = 512, .panel = panel}, kEveryCap), nullptr)
        << kernel.name;
  }
}

TEST(SelectKernel, AttentionTakesTilesWhereTheyAreGranted) {
  const auto row = [](const Caps& caps) -> std::string {
    return select("attention_bf16",
                  attention_bf16_kernels(),
                  AttentionBf16Problem{},
                  caps)
        .name;
  };
  EXPECT_EQ(row(kEveryCap), "attention_bf16_amx");
  EXPECT_EQ(row(kTilesRefused), "attention_bf16_avx512bf16");
  EXPECT_EQ(row({}), "attention_bf16_ref");
}

TEST(ForcedKernels, WhatTheMachineRefusesIsAnError) {
  const Forced forced("linear_lowbit=linear_i8dyn_ixg_amx,convert=bar");
  try {
    lowbit_row({.m = 512}, {.avx2 = true});
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::Usage);
    EXPECT_STREQ(e.what(),
                 "MANTISSA_KERNEL: linear_lowbit: linear_i8dyn_ixg_amx refuses "
                 "here: needs AMX-INT8");
  }
  EXPECT_THROW(lowbit_row({.m = 512}, kTilesRefused), Error);
  // Nor is the problem asked for what no row has.
  EXPECT_THROW(convert_row({DType::Int8, DType::Float32}, kEveryCap), Error);
}

TEST(ForcedKernels, TheReferenceTakesEverything) {
  const Forced forced("linear_lowbit=linear_i8dyn_ixg_ref");
  EXPECT_EQ(lowbit_row({.m = 512}, kEveryCap), "linear_i8dyn_ixg_ref");
  EXPECT_EQ(lowbit_row({.m = 1}, {}), "linear_i8dyn_ixg_ref");
}

TEST(KernelNames, AreMadeOfTheirWords) {
  std::set<std::string> expected;
  for (const std::string_view target : kTargets) {
    for (const std::string_view op : kEncoderOps) {
      expected.insert(fmt::format("{0}: {0}_{1}", op, target));
    }
    for (const std::string_view op : kLinearOps) {
      for (const std::string_view x : kActivations) {
        for (const std::string_view w : kWeights) {
          expected.insert(fmt::format("{}: linear_{}_{}_{}", op, x, w, target));
        }
      }
    }
  }
  std::string all;
  for (const KernelInfo& row : all_kernels(kEveryCap)) {
    const std::string line = row.op + ": " + row.name;
    EXPECT_TRUE(expected.contains(line)) << line;
    all += "\n" + row.op + ": " + row.name + "_";
  }
  // Nor is there a word that no kernel has.
  const auto used = [&](char before, const auto& words, char after) {
    for (const std::string_view word : words) {
      EXPECT_THAT(all, HasSubstr(fmt::format("{}{}{}", before, word, after)))
          << word;
    }
  };
  used('\n', kEncoderOps, ':');
  used('\n', kLinearOps, ':');
  used('_', kActivations, '_');
  used('_', kWeights, '_');
  used('_', kTargets, '_');
}

TEST(LimitCaps, LevelsBelowAmxSwitchItOff) {
  EXPECT_TRUE(limit_caps(kEveryCap, "amx").amx_int8);
  EXPECT_TRUE(limit_caps(kEveryCap, "").amx_int8);
  EXPECT_TRUE(limit_caps(kEveryCap, "amx").amx_bf16);
  for (const char* level : {"avx512vnni", "avx512", "avx2", "scalar"}) {
    EXPECT_FALSE(limit_caps(kEveryCap, level).amx_int8) << level;
    EXPECT_FALSE(limit_caps(kEveryCap, level).amx_bf16) << level;
    EXPECT_FALSE(limit_caps(kTilesRefused, level).amx_refused) << level;
  }
  EXPECT_TRUE(limit_caps(kTilesRefused, "amx").amx_refused);
  EXPECT_TRUE(limit_caps(kEveryCap, "avx512").avx512);
  EXPECT_FALSE(limit_caps(kEveryCap, "avx512").avx512vnni);
  EXPECT_FALSE(limit_caps(kEveryCap, "avx2").avx512);
  EXPECT_TRUE(limit_caps(kEveryCap, "avx2").avx2);
}

TEST(LimitCaps, VnniWithoutTilesIsALevel) {
  const Caps caps = limit_caps(kEveryCap, "avx512vnni");
  EXPECT_TRUE(caps.avx512vnni);
  EXPECT_EQ(lowbit_row({.m = 512}, caps), "linear_i8dyn_ixg_avx512vnni");
  EXPECT_EQ(int8_row({.m = 512}, caps), "linear_i8dyn_i8c_avx512vnni");
  EXPECT_FALSE(limit_caps({.avx2 = true}, "avx512vnni").avx512vnni);
  try {
    limit_caps({}, "vnni");
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(),
                 "MANTISSA_CPU: expected scalar, avx2, avx512, avx512vnni or "
                 "amx, got 'vnni'");
  }
}

TEST(ForcedKernels, WhatCannotBeMeantIsRefused) {
  EXPECT_THAT(refusal("foo", kEveryCap),
              AllOf(HasSubstr("MANTISSA_KERNEL: expected OP=NAME"),
                    HasSubstr("got 'foo'")));
  EXPECT_THAT(refusal("convert=convert_ref,", kEveryCap), HasSubstr("got ''"));
  EXPECT_THAT(refusal("foo=bar", kEveryCap),
              AllOf(HasSubstr("no operator 'foo'"),
                    HasSubstr("absmax_runs, attention_bf16, attention_int8, "
                              "convert, ")));
  EXPECT_THAT(refusal("convert=bar", kEveryCap),
              AllOf(HasSubstr("convert has no kernel 'bar'"),
                    HasSubstr("convert_avx512, convert_avx2, convert_ref")));
  EXPECT_THAT(refusal("convert=convert_avx2", {}),
              HasSubstr("convert_avx2 refuses here: needs AVX2"));
  EXPECT_THAT(refusal("convert=convert_ref,convert=convert_ref", kEveryCap),
              HasSubstr("'convert' stands in it twice"));
}

}  // namespace
}  // namespace mantissa::kernels
