#include "kernels/linear_lowbit_float.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/primitives/float_casts.h>

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
  LowbitScale values;  // what the format decodes to
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
         std::to_string(static_cast<int>(c.type)) + " values type " +
         std::to_string(static_cast<int>(c.values)) + " code " +
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
    EXPECT_EQ(lowbit_layout_error(weight_.layout()), nullptr) << name(c);
    std::normal_distribution<float> normal;
    x_.resize(static_cast<std::size_t>(c.m * c.k));
    for (float& v : x_) v = normal(random_);
    for (std::int64_t j = 0; j < c.n; ++j) bias_.push_back(normal(random_));
  }

  float& x(std::int64_t i, std::int64_t k) {
    return x_[static_cast<std::size_t>(i * case_.k + k)];
  }
  LowbitCaseWeight& weight() { return weight_; }
  LinearLowbitFloatProblem problem() const {
    return linear_lowbit_float_problem(weight_.view(), case_.m);
  }

  // Rows [first, first + rows), the tiles in two parts, the first of them odd.
  std::vector<float> result(const LinearLowbitFloatKernel& kernel,
                            std::int64_t first,
                            std::int64_t rows) {
    buffer_.resize(rows, case_.k);
    buffer_.fill(x_.data() + first * case_.k, case_.k, 0, buffer_.panels());
    // Floats need no alignment.
    std::vector<float> y(static_cast<std::size_t>(rows * case_.n) + 1, -77.0f);
    LinearLowbitFloatArgs args;
    args.w = weight_.view();
    args.values = case_.values;
    args.x = buffer_.view();
    args.bias = case_.bias ? bias_.data() : nullptr;
    args.y = y.data() + 1;
    args.y_stride = case_.n;
    const GuardedWorkspace workspace(
        kernel, LinearLowbitFloatProblem{case_.bits, rows, case_.n, args.w.k});
    const std::int64_t tiles = weight_.layout().tiles();
    const std::int64_t half = std::min(tiles, tiles / 4 * 2 + 1);
    kernel.run(args, {0, half, workspace.data()});
    if (half < tiles) kernel.run(args, {half, tiles, workspace.data()});
    EXPECT_EQ(y[0], -77.0f);
    y.erase(y.begin());
    return y;
  }
  std::vector<float> result(const LinearLowbitFloatKernel& kernel) {
    return result(kernel, 0, case_.m);
  }

  // What the format decodes to: a product rounded to float32 first, a sum of
  // one and an offset once.
  float decoded(std::int64_t j, std::int64_t k) const {
    double value = weight_.value_at(j, k);
    if (case_.offsets == LowbitOffsets::None) value = static_cast<float>(value);
    return rounded_to(value, case_.values);
  }

  // The formula in fp64, and the sum of the magnitudes of its terms.
  void oracle(std::int64_t i, std::int64_t j, double& y, double& terms) {
    y = terms = 0;
    for (std::int64_t k = 0; k < case_.k; ++k) {
      const double term = static_cast<double>(decoded(j, k)) * x(i, k);
      y += term;
      terms += std::fabs(term);
    }
    if (!case_.bias) return;
    y += bias_[static_cast<std::size_t>(j)];
    terms += std::fabs(bias_[static_cast<std::size_t>(j)]);
  }

 private:
  Case case_;
  std::mt19937 random_;
  LowbitCaseWeight weight_;
  std::vector<float> x_;
  std::vector<float> bias_;
  LowbitFloatBuffer buffer_;
};

// What the block types of GGUF are: one level of half floats with codes from 0,
// two levels in groups of 32 and of 16.
std::vector<Case> level_cases() {
  struct Form {
    int bits;
    std::int64_t group;
    std::int64_t super;
    bool from_zero;
  };
  std::vector<Form> forms = {{4, 32, 256, true},
                             {5, 32, 256, true},
                             {4, 64, 128, true},
                             {2, 16, 256, true},
                             {3, 16, 256, false},
                             {6, 16, 256, false},
                             {6, 16, 32, false}};
  for (int bits = 1; bits <= 8; ++bits) forms.push_back({bits, 32, 0, true});
  std::vector<Case> out;
  int i = 0;
  for (const Form& form : forms) {
    for (const std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 13, 33}) {
      for (const std::int64_t k : {256, 768}) {
        const std::int64_t n[] = {16, 1, 48, 75, 33};
        out.push_back(
            {form.bits,
             m,
             n[i % 5],
             k,
             form.group,
             false,
             i % 3 == 0,
             i % 4 == 0 ? LowbitScale::Bf16 : LowbitScale::F16,
             LowbitScale::F32,
             LowbitCode::Integer,
             form.from_zero ? LowbitOffsets::Near : LowbitOffsets::None,
             form.from_zero,
             form.super});
        ++i;
      }
    }
  }
  return out;
}

std::vector<Case> cases() {
  std::vector<Case> out = level_cases();
  const std::int64_t rows[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 33};
  const std::pair<std::int64_t, std::int64_t> depths[] = {{64, 32},
                                                          {576, 64},
                                                          {576, 576},
                                                          {512, 256},
                                                          {384, 128},
                                                          {100, 100},
                                                          {7, 7},
                                                          {32, 32}};
  const std::int64_t columns[] = {16, 1, 48, 75, 33, 9, 64};
  int i = 0;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t m : rows) {
      for (const auto& [k, group] : depths) {
        out.push_back({bits,
                       m,
                       columns[i % 7],
                       k,
                       group,
                       i % 2 == 0,
                       i % 5 < 2,
                       static_cast<LowbitScale>(i / 3 % 3),
                       static_cast<LowbitScale>(i / 9 % 3)});
        ++i;
      }
    }
  }
  for (const LowbitCode code : {LowbitCode::E4m3, LowbitCode::E5m2}) {
    for (const std::int64_t m : rows) {
      for (const auto& [k, group] : depths) {
        out.push_back({8,
                       m,
                       columns[i % 7],
                       k,
                       group,
                       false,
                       i % 5 < 2,
                       static_cast<LowbitScale>(i / 3 % 3),
                       static_cast<LowbitScale>(i / 9 % 3),
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
    if (c.type == LowbitScale::F32) c.values = LowbitScale::F32;
    out.push_back(c);
  }
  // More rows than the workspace has sums for.
  out.push_back(
      {4, 775, 17, 64, 32, true, true, LowbitScale::Bf16, LowbitScale::F32});
  return out;
}

template <class Check>
void for_each_kernel(const Check& check) {
  for (const auto& kernel : linear_lowbit_float_kernels()) {
    const char* refusal = kernel.refuses({}, host_caps());
    if (refusal != nullptr) {
      std::printf("%s: %s\n", kernel.name, refusal);
      continue;
    }
    check(kernel);
  }
}

TEST(LinearLowbitFloatTest, ReferenceIsTheFormulaWithinItsRounding) {
  for (const Case& c : cases()) {
    Problem problem(c);
    const auto y = problem.result(linear_lowbit_float_kernels().back());
    // Each of k fmas and both additions round a partial sum.
    const double steps = 2 + static_cast<double>(c.k);
    for (std::int64_t i = 0; i < c.m; ++i) {
      for (std::int64_t j = 0; j < c.n; ++j) {
        double expected = 0;
        double terms = 0;
        problem.oracle(i, j, expected, terms);
        ASSERT_NEAR(y[static_cast<std::size_t>(i * c.n + j)],
                    expected,
                    steps * terms * 0x1p-24)
            << name(c) << " at " << i << ", " << j;
      }
    }
  }
}

TEST(LinearLowbitFloatTest, EveryKernelGivesTheBitsOfTheReference) {
  for_each_kernel([](const LinearLowbitFloatKernel& kernel) {
    for (const Case& c : cases()) {
      Problem problem(c);
      ASSERT_EQ(kernel.refuses(problem.problem(), host_caps()), nullptr)
          << kernel.name << ": " << name(c);
      ASSERT_EQ(problem.result(kernel),
                problem.result(linear_lowbit_float_kernels().back()))
          << kernel.name << ": " << name(c);
    }
  });
}

TEST(LinearLowbitFloatTest, WeightsAreWhatTheFormatDecodes) {
  // The columns of a unit matrix are the weights, bit for bit.
  for_each_kernel([](const LinearLowbitFloatKernel& kernel) {
    for (int bits = 1; bits <= 8; ++bits) {
      for (int types = 0; types < 27; ++types) {
        const auto type = static_cast<LowbitScale>(types % 3);
        const auto values = static_cast<LowbitScale>(types / 3 % 3);
        const auto offsets = static_cast<LowbitOffsets>(types / 9);
        // Offsets with such scales have values of float32.
        if (types >= 9 && type == LowbitScale::F32 && values != type) continue;
        for (const std::int64_t m : {1, 32}) {
          Problem problem({bits,
                           32,
                           40,
                           32,
                           32,
                           bits % 2 == 0 && types < 9,
                           false,
                           type,
                           values,
                           LowbitCode::Integer,
                           offsets});
          for (std::int64_t i = 0; i < 32; ++i) {
            for (std::int64_t k = 0; k < 32; ++k) problem.x(i, k) = i == k;
          }
          for (std::int64_t i = 0; i < 32; i += m) {
            const auto y = problem.result(kernel, i, m);
            for (std::int64_t r = 0; r < m; ++r) {
              for (std::int64_t j = 0; j < 40; ++j) {
                ASSERT_EQ(y[static_cast<std::size_t>(r * 40 + j)],
                          problem.decoded(j, i + r))
                    << kernel.name << " bits " << bits << " m " << m
                    << " types " << types;
              }
            }
          }
        }
      }
    }
  });
}

// The columns of a unit matrix again.
TEST(LinearLowbitFloatTest, BlockTypesAreWhatGgmlDecodes) {
  for_each_kernel([](const LinearLowbitFloatKernel& kernel) {
    for (Case c : level_cases()) {
      c.bias = false;
      if (c.k != 256) continue;
      Problem problem(c);
      for (std::int64_t k = 5; k < c.k; k += 31) {
        for (std::int64_t i = 0; i < c.m; ++i) {
          for (std::int64_t at = 0; at < c.k; ++at) {
            problem.x(i, at) = at == k ? 1.0f : 0.0f;
          }
        }
        const auto y = problem.result(kernel);
        for (std::int64_t at = 0; at < c.m * c.n; ++at) {
          ASSERT_EQ(y[static_cast<std::size_t>(at)],
                    problem.decoded(at % c.n, k))
              << kernel.name << ": " << name(c) << " k " << k;
        }
      }
    }
  });
}

TEST(LinearLowbitFloatTest, VectorRowsSayWhichLevelsOfScalesTheyTake) {
  Caps caps;
  caps.avx2 = caps.avx512 = true;
  const auto rows = linear_lowbit_float_kernels();
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    EXPECT_STREQ(rows[i].refuses({4, 1, 16, 256, 16, true}, caps),
                 "takes groups of 16 with 2, 3 or 6 bits");
    EXPECT_STREQ(
        rows[i].refuses({6, 1, 16, 256, 32, true}, caps),
        "takes two levels of scales with 4 or 5 bits, or groups of 16");
  }
  EXPECT_EQ(rows.back().refuses({7, 1, 16, 256, 16, true}, caps), nullptr);
}

TEST(LinearLowbitFloatTest, RowsDoNotDependOnTheirCompany) {
  for_each_kernel([](const LinearLowbitFloatKernel& kernel) {
    for (const int bits : {3, 4, 8}) {
      const Case c = {bits,
                      40,
                      48,
                      384,
                      64,
                      true,
                      true,
                      LowbitScale::Bf16,
                      LowbitScale::Bf16};
      Problem problem(c);
      const auto all = problem.result(kernel);
      for (const std::int64_t m : {1, 2, 3, 4, 5, 6, 7, 13}) {
        const auto some = problem.result(kernel, 20, m);
        ASSERT_TRUE(
            std::equal(some.begin(), some.end(), all.begin() + 20 * c.n))
            << kernel.name << " bits " << bits << " m " << m;
      }
    }
  });
}

TEST(LinearLowbitFloatTest, NonFiniteRowsSpoilNoOther) {
  for_each_kernel([](const LinearLowbitFloatKernel& kernel) {
    std::vector<Case> all;
    for (const std::int64_t m : {3, 4, 9, 20}) {
      all.push_back({4,
                     m,
                     48,
                     100,
                     100,
                     true,
                     true,
                     LowbitScale::Bf16,
                     LowbitScale::Bf16});
    }
    for (const Case& c : level_cases()) {
      if (c.m > 2 && c.k == 256) all.push_back(c);
    }
    for (const Case& c : all) {
      const std::int64_t m = c.m;
      Problem clean(c);
      const auto expected = clean.result(kernel);
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()}) {
        Problem problem(c);
        problem.x(2, 99) = bad;
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
  });
}

// Scales that no 16-bit trick bears: huge, infinite, NaN, subnormal, zero.
TEST(LinearLowbitFloatTest, OddScalesGiveWhatTheFormatDecodes) {
  const float odd[] = {3e38f,
                       -2e37f,
                       1e-40f,
                       0.0f,
                       std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN()};
  for_each_kernel([&](const LinearLowbitFloatKernel& kernel) {
    for (int types = 0; types < 9; ++types) {
      for (const int bits : {4, 8}) {
        for (const std::int64_t m : {1, 7}) {
          for (const float scale : odd) {
            Problem problem({bits,
                             m,
                             40,
                             64,
                             32,
                             true,
                             false,
                             static_cast<LowbitScale>(types % 3),
                             static_cast<LowbitScale>(types / 3)});
            problem.weight().set_scale(21 * 2, scale);
            const auto y = problem.result(kernel);
            const auto expected =
                problem.result(linear_lowbit_float_kernels().back());
            for (std::size_t i = 0; i < y.size(); ++i) {
              ASSERT_TRUE(y[i] == expected[i] ||
                          (std::isnan(y[i]) && std::isnan(expected[i])))
                  << kernel.name << " scale " << scale << " at " << i << ": "
                  << y[i] << ", " << expected[i];
            }
          }
        }
      }
    }
  });
}

// What stands behind K counts as 0 under every scale.
TEST(LinearLowbitFloatTest, LargeScalesMakeNoNaNBehindTheLastColumn) {
  const auto f16 = LowbitScale::F16;
  for_each_kernel([&](const LinearLowbitFloatKernel& kernel) {
    for (const std::int64_t m : {1, 6}) {
      // 65520 is infinity in float16: of 128 * 513 and of 15 * 4400.
      for (const auto& [bits, zeros, scale] :
           {std::tuple{8, false, 513.0f}, std::tuple{4, true, 4400.0f}}) {
        const Case c = {bits, m, 200, 7, 7, zeros, false, f16, f16};
        Problem problem(c);
        for (std::int64_t j = 0; j < c.n; ++j) {
          problem.weight().set_scale(j, scale);
        }
        const auto y = problem.result(kernel);
        int finite = 0;
        for (std::int64_t j = 0; j < c.n; ++j) {
          double expected = 0;
          double terms = 0;
          problem.oracle(m - 1, j, expected, terms);
          if (!std::isfinite(terms)) continue;
          ++finite;
          ASSERT_NEAR(y[static_cast<std::size_t>((m - 1) * c.n + j)],
                      expected,
                      9 * terms * 0x1p-24)
              << kernel.name << ": " << name(c) << " column " << j;
        }
        EXPECT_GT(finite, 100);
      }
    }
  });
}

// Codes of float8 that are no numbers, under all their companions.
TEST(LinearLowbitFloatTest, EveryFloat8CodeIsWhatTheFormatDecodes) {
  for_each_kernel([&](const LinearLowbitFloatKernel& kernel) {
    for (const LowbitCode code : {LowbitCode::E4m3, LowbitCode::E5m2}) {
      for (const std::int64_t m : {1, 7}) {
        Problem problem({8,
                         m,
                         256,
                         32,
                         32,
                         false,
                         false,
                         LowbitScale::F32,
                         LowbitScale::Bf16,
                         code});
        for (std::int64_t j = 0; j < 256; ++j) {
          problem.weight().set_scale(j, 1.0f);
          for (std::int64_t k = 0; k < 32; ++k) {
            problem.weight().set_float8(
                j * 32 + k, static_cast<std::uint8_t>(k == 3 ? j : 0));
          }
        }
        for (std::int64_t k = 0; k < 32; ++k) problem.x(m - 1, k) = k == 3;
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

TEST(LinearLowbitFloatTest, EveryRowSaysWhatWorkspaceItNeeds) {
  const auto kernels = linear_lowbit_float_kernels();
  expect_workspaces(kernels, LinearLowbitFloatProblem{});
  for (const LinearLowbitFloatKernel& kernel : kernels) {
    EXPECT_EQ(kernel.workspace_bytes({.m = 4}, 8), 0) << kernel.name;
  }
}

}  // namespace
}  // namespace mantissa::kernels
