#include "kernels/linear_lowbit_bf16.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/primitives/float_casts.h>

#include "kernels/emulated_bf16_tiles.h"
#include "kernels/lowbit_cases.h"
#include "kernels/workspace_cases.h"

namespace mantissa::kernels {
namespace {

struct Case {
  int bits;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::int64_t group;
  bool zeros;
  bool bias;
  LowbitScale type;
  LowbitCode code = LowbitCode::Integer;
  LowbitOffsets offsets = LowbitOffsets::None;
  bool from_zero = false;
  std::int64_t super = 0;
};

std::string name(const Case& c) {
  return "bits " + std::to_string(c.bits) + " m " + std::to_string(c.m) +
         " n " + std::to_string(c.n) + " k " + std::to_string(c.k) + " group " +
         std::to_string(c.group) + (c.zeros ? " zeros" : "") +
         (c.bias ? " bias" : "") + " scale type " +
         std::to_string(static_cast<int>(c.type)) + " code " +
         std::to_string(static_cast<int>(c.code)) + " offsets " +
         std::to_string(static_cast<int>(c.offsets)) +
         (c.from_zero ? " from zero" : "") + " super " +
         std::to_string(c.super);
}

class Problem {
 public:
  explicit Problem(const Case& c)
      : case_(c),
        random_(static_cast<unsigned>(c.bits * 7919 + c.m * 31 + c.n * 17 +
                                      c.k + c.group)),
        weight_({{c.bits, c.n, c.k, c.group, c.from_zero, c.super},
                 c.zeros,
                 c.type,
                 false,
                 c.code,
                 c.offsets},
                random_) {
    std::normal_distribution<float> normal;
    x_.resize(static_cast<std::size_t>(c.m * c.k));
    for (std::uint16_t& v : x_) v = float_to_bfloat16(normal(random_) + 0.25f);
    for (std::int64_t j = 0; j < c.n; ++j) bias_.push_back(normal(random_));
  }

  void set_x(std::int64_t i, std::int64_t k, float value) {
    x_[static_cast<std::size_t>(i * case_.k + k)] = float_to_bfloat16(value);
  }
  LowbitCaseWeight& weight() { return weight_; }

  // Rows [first, first + rows) in panels of `panel`.
  std::vector<float> result(const LinearLowbitBf16Kernel& kernel,
                            std::int64_t first,
                            std::int64_t rows,
                            std::int32_t panel) {
    // Floats need no alignment.
    std::vector<float> y(static_cast<std::size_t>(rows * case_.n) + 1, -77.0f);
    LinearLowbitBf16Args args;
    args.y = y.data() + 1;
    buffer_.resize(rows, case_.k, panel);
    run(kernel, first, args);
    EXPECT_EQ(y[0], -77.0f);
    y.erase(y.begin());
    return y;
  }
  std::vector<float> result(const LinearLowbitBf16Kernel& kernel,
                            std::int64_t first,
                            std::int64_t rows) {
    return result(kernel, first, rows, kernel.panel_of(rows));
  }
  std::vector<float> result(const LinearLowbitBf16Kernel& kernel) {
    return result(kernel, 0, case_.m);
  }

  // The formula in fp64, and what its rounding may amount to: every sum of a
  // group, of x times the shifted code and of x times the shift, has at most
  // group + 2 terms, each partial sum of which is rounded at 2^-24 of the sum
  // of their magnitudes, of x itself where there are offsets; then the groups
  // and the bias.
  void oracle(std::int64_t i, std::int64_t j, double& y, double& bound) {
    y = bound = 0;
    const double steps =
        static_cast<double>(case_.group + 2 + 2 * case_.k / case_.group + 2);
    for (std::int64_t k = 0; k < case_.k; ++k) {
      const double x =
          bfloat16_to_float(x_[static_cast<std::size_t>(i * case_.k + k)]);
      const double value = weight_.value_at(j, k);
      y += x * value;
      bound += std::fabs(x) * weight_.magnitude_at(j, k);
      if (case_.code != LowbitCode::Integer) continue;
      bound += std::fabs(x * weight_.scale_at(j, k)) * shifted();
    }
    if (case_.bias) {
      y += bias_[static_cast<std::size_t>(j)];
      bound += std::fabs(bias_[static_cast<std::size_t>(j)]);
    }
    bound *= steps * 0x1p-24;
  }

  // One row, all tiles in one range.
  std::vector<float> row_in_one_range(const LinearLowbitBf16Kernel& kernel) {
    std::vector<float> y(static_cast<std::size_t>(case_.n));
    LinearLowbitBf16Args args;
    args.y = y.data();
    buffer_.resize(1, case_.k, 1);
    run(kernel, 0, args, weight_.layout().tiles());
    return y;
  }

  std::vector<std::uint16_t> narrow_result(
      const LinearLowbitBf16Kernel& kernel) {
    std::vector<std::uint16_t> y(static_cast<std::size_t>(case_.m * case_.n));
    LinearLowbitBf16Args args;
    args.narrow = y.data();
    buffer_.resize(case_.m, case_.k, kernel.panel_of(case_.m));
    run(kernel, 0, args);
    return y;
  }

 private:
  // The largest shifted code and shift together: 128 + u and 128 + the middle,
  // 8 bits u - 127.5 and 0.5; and a zero point.
  double shifted() const {
    const double middle = 1 << (case_.bits - 1);
    return case_.bits == 8 ? 2 * middle + 0.5 : 256 + 4 * middle;
  }

  // The tiles in two parts, the first of them odd.
  void run(const LinearLowbitBf16Kernel& kernel,
           std::int64_t first,
           LinearLowbitBf16Args& args) {
    const std::int64_t tiles = weight_.layout().tiles();
    run(kernel, first, args, std::min(tiles, tiles / 4 * 2 + 1));
  }
  // Tiles [0, cut), then those behind them.
  void run(const LinearLowbitBf16Kernel& kernel,
           std::int64_t first,
           LinearLowbitBf16Args& args,
           std::int64_t cut) {
    buffer_.fill(x_.data() + first * case_.k, case_.k, 0, buffer_.panels());
    args.w = weight_.view();
    args.x = buffer_.view();
    args.bias = case_.bias ? bias_.data() : nullptr;
    args.y_stride = case_.n;
    const std::int64_t tiles = weight_.layout().tiles();
    const GuardedWorkspace workspace(
        kernel,
        LinearLowbitBf16Problem{.bits = case_.bits,
                                .m = args.x.m,
                                .n = case_.n,
                                .k = args.w.k,
                                .group = args.w.group,
                                .panel = args.x.panel});
    kernel.run(args, {0, cut, workspace.data()});
    if (cut < tiles) kernel.run(args, {cut, tiles, workspace.data()});
  }

  Case case_;
  std::mt19937 random_;
  LowbitCaseWeight weight_;
  std::vector<std::uint16_t> x_;
  std::vector<float> bias_;
  LowbitBf16Buffer buffer_;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  const std::int64_t rows[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 70};
  const std::pair<std::int64_t, std::int64_t> depths[] = {{64, 32},
                                                          {576, 64},
                                                          {576, 576},
                                                          {512, 256},
                                                          {384, 128},
                                                          {100, 100},
                                                          {7, 7},
                                                          {32, 32}};
  const std::int64_t columns[] = {16, 1, 48, 75, 33, 9, 160};
  int i = 0;
  for (int kind = 1; kind <= 10; ++kind) {
    const LowbitCode code = kind == 9    ? LowbitCode::E4m3
                            : kind == 10 ? LowbitCode::E5m2
                                         : LowbitCode::Integer;
    for (const std::int64_t m : rows) {
      for (const auto& [k, group] : depths) {
        out.push_back({std::min(kind, 8),
                       m,
                       columns[i % 7],
                       k,
                       group,
                       i % 2 == 0 && kind < 9,
                       i % 5 < 2,
                       static_cast<LowbitScale>(i / 3 % 3),
                       code});
        ++i;
      }
    }
  }
  for (std::size_t at = 0, count = out.size(); at < count; ++at) {
    Case c = out[at];
    if (c.code != LowbitCode::Integer) continue;
    c.zeros = false;
    c.offsets = at % 2 == 0 ? LowbitOffsets::Far : LowbitOffsets::Near;
    out.push_back(c);
  }
  // Codes from 0, of one level of scales and of two.
  for (std::size_t at = 0, count = out.size(); at < count; ++at) {
    Case c = out[at];
    if (c.offsets != LowbitOffsets::Near) continue;
    c.from_zero = true;
    out.push_back(c);
    if (c.k != 512 && c.k != 384) continue;
    c.super = c.k == 512 ? 256 : 128;
    c.group = at % 3 == 0 ? 64 : 32;
    c.type = at % 2 == 0 ? LowbitScale::F16 : LowbitScale::Bf16;
    out.push_back(c);
  }
  return out;
}

TEST(LinearLowbitBf16Test, VectorsAndTilesTakeGroupsOf32AndMore) {
  const auto rows = linear_lowbit_bf16_kernels();
  const LinearLowbitBf16Problem narrow = {
      .bits = 6, .m = 16, .k = 256, .group = 16};
  for (const auto& row : rows.first(rows.size() - 1)) {
    EXPECT_STREQ(row.refuses(narrow, kEveryCap),
                 "needs groups of 32 values or more")
        << row.name;
  }
  EXPECT_EQ(rows.back().refuses(narrow, kEveryCap), nullptr);
}

// The rows that this machine has, and the loops of the AMX row on tiles that
// plain C++ plays.
template <class Check>
void for_each_kernel(const Check& check) {
  for (const auto& kernel : linear_lowbit_bf16_kernels()) {
    // Those below a row's least number of rows too.
    const char* refusal = kernel.refuses({.m = 512}, host_caps());
    if (refusal != nullptr) {
      std::printf("%s: %s\n", kernel.name, refusal);
      continue;
    }
    check(kernel);
  }
  if (!host_caps().avx512bf16) {
    std::printf("emulated tiles: needs AVX-512 BF16\n");
    return;
  }
  LinearLowbitBf16Kernel emulated = linear_lowbit_bf16_kernels().front();
  emulated.name = "emulated tiles";
  emulated.run = run_linear_lowbit_bf16_emulated;
  check(emulated);
  check_bf16_tiles_released();
}

TEST(LinearLowbitBf16Test, EveryKernelIsTheFormulaWithinItsRounding) {
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (const Case& c : cases()) {
      Problem problem(c);
      const auto y = problem.result(kernel);
      for (std::int64_t i = 0; i < c.m; ++i) {
        for (std::int64_t j = 0; j < c.n; ++j) {
          double expected = 0;
          double bound = 0;
          problem.oracle(i, j, expected, bound);
          ASSERT_NEAR(y[static_cast<std::size_t>(i * c.n + j)], expected, bound)
              << kernel.name << ": " << name(c) << " at " << i << ", " << j;
        }
      }
    }
  });
}

// More rows and values of K than a block of the workspace; tiles of columns in
// fours and what is left of them.
TEST(LinearLowbitBf16Test, ManyRowsAndTilesAreTheFormulaToo) {
  using enum LowbitCode;
  const auto f16 = LowbitScale::F16;
  for_each_kernel([&](const LinearLowbitBf16Kernel& kernel) {
    for (const Case& c : std::vector<Case>{
             {4, 530, 70, 544, 32, true, true, f16},
             {6, 530, 17, 1056, 1056, false, false, LowbitScale::F32},
             {8, 70, 134, 1280, 256, true, true, f16},
             {5, 70, 100, 2112, 64, true, false, f16},
             {8, 66, 40, 5120, 5120, false, false, LowbitScale::F32},
             {8, 70, 100, 2048, 2048, true, false, f16},
             {8, 70, 70, 2080, 2080, true, false, f16},
             {8, 70, 70, 4096, 4096, true, false, f16},
             {8, 70, 40, 1280, 1280, false, false, f16, E5m2},
             {8, 33, 180, 768, 128, false, false, f16, E4m3},
             {3,
              40,
              150,
              640,
              64,
              false,
              true,
              f16,
              Integer,
              LowbitOffsets::Far}}) {
      Problem problem(c);
      const auto y = problem.result(kernel);
      for (std::int64_t i = 0; i < c.m; i += i < 500 ? 7 : 1) {
        for (std::int64_t j = 0; j < c.n; ++j) {
          double expected = 0;
          double bound = 0;
          problem.oracle(i, j, expected, bound);
          ASSERT_NEAR(y[static_cast<std::size_t>(i * c.n + j)], expected, bound)
              << kernel.name << ": " << name(c) << " at " << i << ", " << j;
        }
      }
    }
  });
}

// Instructions take subnormal numbers as 0, sums of x do not: their shifted
// codes may be missing.
TEST(LinearLowbitBf16Test, SubnormalsCostNoMoreThanTheLeastNormalNumber) {
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (const std::int64_t m : {1, 4, 9, 70}) {
      const Case c = {4, m, 48, 192, 64, true, false, LowbitScale::F32};
      Problem problem(c);
      for (std::int64_t k = 0; k < c.k; ++k) {
        problem.set_x(0, k, k % 2 == 0 ? 0x1p-130f : -0x1.8p-127f);
        if (k % 3 == 0) problem.set_x(m - 1, k, 0x1p-127f);
      }
      const auto y = problem.result(kernel);
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < c.n; ++j) {
          double expected = 0;
          double bound = 0;
          problem.oracle(i, j, expected, bound);
          // 128 + u + 8 and a zero point, by scales of up to 0.05.
          const double lost = static_cast<double>(c.k) * 8 * 0x1p-126;
          ASSERT_NEAR(
              y[static_cast<std::size_t>(i * c.n + j)], expected, bound + lost)
              << kernel.name << ": " << m << " rows, at " << i << ", " << j;
        }
      }
    }
  });
}

// One row reads codes in several ways, which large ranges and small ones take
// in turn.
TEST(LinearLowbitBf16Test, EveryWayToReadCodesGivesTheSameBits) {
  for (int kind = 1; kind <= 10; ++kind) {
    const int bits = std::min(kind, 8);
    const std::int64_t n = columns_of_a_large_range(bits, 1024);
    const LowbitCode code = kind == 9    ? LowbitCode::E4m3
                            : kind == 10 ? LowbitCode::E5m2
                                         : LowbitCode::Integer;
    Problem problem({bits,
                     1,
                     n,
                     1024,
                     kind % 2 == 0 ? 32 : 128,
                     kind < 5,
                     true,
                     LowbitScale::Bf16,
                     code});
    const auto kernels = linear_lowbit_bf16_kernels();
    for (const auto& kernel : kernels.first(kernels.size() - 1)) {
      if (kernel.refuses({}, host_caps()) != nullptr) continue;
      const std::vector<float> expected = problem.result(kernel);
      for (int call = 0; call < kCallsOfEveryWay; ++call) {
        ASSERT_EQ(problem.row_in_one_range(kernel), expected)
            << kernel.name << ": " << bits << " bits";
        ASSERT_EQ(problem.result(kernel), expected)
            << kernel.name << ": " << bits << " bits";
      }
    }
  }
}

// The reference reads rows as any row of the table wants them.
TEST(LinearLowbitBf16Test, PanelsOfEverySizeHoldTheSameRows) {
  const LinearLowbitBf16Kernel& reference = linear_lowbit_bf16_kernels().back();
  for (const std::int64_t m : {1, 5, 16, 35}) {
    for (const std::int64_t k : {7, 100, 576}) {
      Problem problem({4,
                       m,
                       33,
                       k,
                       k,
                       false,
                       true,
                       LowbitScale::Bf16,
                       LowbitCode::Integer,
                       LowbitOffsets::Near});
      const auto alone = problem.result(reference, 0, m, 1);
      for (const std::int32_t panel : {2, 4, 8, 16}) {
        ASSERT_EQ(problem.result(reference, 0, m, panel), alone)
            << "m " << m << " k " << k << " panel " << panel;
      }
    }
  }
}

TEST(LinearLowbitBf16Test, EveryRowSaysWhatWorkspaceItNeeds) {
  expect_workspaces(linear_lowbit_bf16_kernels(), LinearLowbitBf16Problem{});
}

// With x the columns of a unit matrix and scales of 1: the codes themselves,
// which bfloat16 holds.
TEST(LinearLowbitBf16Test, CodesAreExact) {
  constexpr std::int64_t kRows = 96;
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (int kind = 1; kind <= 10; ++kind) {
      const LowbitCode code = kind == 9    ? LowbitCode::E4m3
                              : kind == 10 ? LowbitCode::E5m2
                                           : LowbitCode::Integer;
      for (const std::int64_t m : {1, 2, 4, 32, 96}) {
        Problem problem({std::min(kind, 8),
                         kRows,
                         40,
                         32,
                         32,
                         kind % 2 == 0 && kind < 9,
                         false,
                         LowbitScale::Bf16,
                         code});
        for (std::int64_t j = 0; j < 40; ++j) {
          problem.weight().set_scale(j, 1.0f);
        }
        for (std::int64_t i = 0; i < kRows; ++i) {
          for (std::int64_t k = 0; k < 32; ++k) {
            problem.set_x(i, k, i % 32 == k);
          }
        }
        for (std::int64_t i = 0; i < kRows; i += m) {
          const auto y = problem.result(kernel, i, m);
          for (std::int64_t r = 0; r < m; ++r) {
            for (std::int64_t j = 0; j < 40; ++j) {
              ASSERT_EQ(y[static_cast<std::size_t>(r * 40 + j)],
                        problem.weight().number_at(j, (i + r) % 32))
                  << kernel.name << " kind " << kind << " m " << m;
            }
          }
        }
      }
    }
  });
}

TEST(LinearLowbitBf16Test, EveryFloat8CodeIsItsValue) {
  for_each_kernel([&](const LinearLowbitBf16Kernel& kernel) {
    for (const LowbitCode code : {LowbitCode::E4m3, LowbitCode::E5m2}) {
      for (const std::int64_t m : {1, 9, 66}) {
        Problem problem(
            {8, m, 256, 32, 32, false, false, LowbitScale::F32, code});
        for (std::int64_t j = 0; j < 256; ++j) {
          problem.weight().set_scale(j, 1.0f);
          for (std::int64_t k = 0; k < 32; ++k) {
            problem.weight().set_float8(
                j * 32 + k, static_cast<std::uint8_t>(k == 3 ? j : 0));
          }
        }
        for (std::int64_t k = 0; k < 32; ++k) problem.set_x(m - 1, k, k == 3);
        const auto y = problem.result(kernel);
        for (std::int64_t j = 0; j < 256; ++j) {
          const auto bits = static_cast<std::uint8_t>(j);
          const float expected = code == LowbitCode::E4m3
                                     ? Float8E4M3FN::decode(bits)
                                     : Float8E5M2::decode(bits);
          const float found = y[static_cast<std::size_t>((m - 1) * 256 + j)];
          ASSERT_TRUE(found == expected ||
                      (std::isnan(found) && std::isnan(expected)))
              << kernel.name << " code " << j << ": " << found << ", "
              << expected;
        }
      }
    }
  });
}

TEST(LinearLowbitBf16Test, NarrowResultsAreTheRoundedOnes) {
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (const std::int64_t m : {1, 4, 9, 70}) {
      Problem problem({4, m, 75, 96, 32, true, true, LowbitScale::F16});
      const auto wide = problem.result(kernel);
      const auto narrow = problem.narrow_result(kernel);
      for (std::size_t i = 0; i < wide.size(); ++i) {
        ASSERT_EQ(narrow[i], float_to_bfloat16(wide[i])) << kernel.name;
      }
    }
  });
}

// Within a way of computing: 5 to 64 rows and more; 1, 2 and 4.
TEST(LinearLowbitBf16Test, RowsDoNotDependOnTheirCompany) {
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (const int bits : {3, 4, 8}) {
      const std::int64_t group = bits == 8 ? 384 : 64;
      const Case c = {bits, 120, 48, 384, group, true, true, LowbitScale::Bf16};
      Problem problem(c);
      const auto few = problem.result(kernel, 20, 40);
      const auto all = problem.result(kernel);
      for (const std::int64_t m : {5, 6, 7, 8, 9, 13, 16, 33, 65, 72, 100}) {
        const auto some = problem.result(kernel, 20, m);
        const auto from = m <= 40 ? few.begin() : all.begin() + 20 * c.n;
        ASSERT_TRUE(std::equal(some.begin(), some.end(), from))
            << kernel.name << " bits " << bits << " m " << m;
      }
    }
  });
}

TEST(LinearLowbitBf16Test, NonFiniteRowsSpoilNoOther) {
  for_each_kernel([](const LinearLowbitBf16Kernel& kernel) {
    for (const std::int64_t m : {3, 4, 9, 20, 70}) {
      for (const int bits : {4, 8}) {
        const std::int64_t k = bits == 4 ? 128 : 100;
        const std::int64_t group = bits == 4 ? 64 : 100;
        const Case c = {bits, m, 48, k, group, true, true, LowbitScale::Bf16};
        Problem clean(c);
        const auto expected = clean.result(kernel);
        for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::infinity()}) {
          Problem problem(c);
          problem.set_x(2, 99, bad);
          const auto y = problem.result(kernel);
          for (std::int64_t i = 0; i < m; ++i) {
            for (std::int64_t j = 0; j < c.n; ++j) {
              const auto at = static_cast<std::size_t>(i * c.n + j);
              if (i == 2) {
                ASSERT_FALSE(std::isfinite(y[at])) << kernel.name;
              } else {
                ASSERT_EQ(y[at], expected[at]) << kernel.name;
              }
            }
          }
        }
      }
    }
  });
}

}  // namespace
}  // namespace mantissa::kernels
