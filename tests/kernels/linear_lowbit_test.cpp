#include "kernels/linear_lowbit.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/emulated_tiles.h"
#include "kernels/lowbit_activations.h"
#include "kernels/lowbit_cases.h"
#include "kernels/lowbit_layout.h"
#include "kernels/quantize_panels.h"
#include "kernels/workspace_cases.h"

namespace mantissa::kernels {
namespace {

struct Case {
  int bits;
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
  std::int64_t group;    // of the weight; k: a scale each row
  std::int64_t x_group;  // 0: a scale each row
  bool zeros;            // of the weight
  bool x_zeros;
  bool bias;
  LowbitScale type;
  LowbitOffsets offsets = LowbitOffsets::None;
  bool from_zero = false;
  std::int64_t super = 0;
};

std::string name(const Case& c) {
  return "bits " + std::to_string(c.bits) + " m " + std::to_string(c.m) +
         " n " + std::to_string(c.n) + " k " + std::to_string(c.k) + " group " +
         std::to_string(c.group) + " x_group " + std::to_string(c.x_group) +
         (c.zeros ? " zeros" : "") + (c.x_zeros ? " x_zeros" : "") +
         (c.bias ? " bias" : "") + " scale type " +
         std::to_string(static_cast<int>(c.type)) + " offsets " +
         std::to_string(static_cast<int>(c.offsets)) +
         (c.from_zero ? " from zero" : "") + " super " +
         std::to_string(c.super);
}

// A weight, activations and what they hold in plain numbers.
class Problem {
 public:
  explicit Problem(const Case& c,
                   bool extreme = false,
                   std::int64_t nan_row = -1)
      : case_(c),
        nan_row_(nan_row),
        random_(static_cast<unsigned>(c.bits * 7919 + c.m * 31 + c.n * 17 +
                                      c.k + c.group + c.x_group)),
        weight_({{c.bits, c.n, c.k, c.group, c.from_zero, c.super},
                 c.zeros,
                 c.type,
                 extreme,
                 LowbitCode::Integer,
                 c.offsets},
                random_) {
    EXPECT_EQ(lowbit_layout_error(layout()), nullptr) << name(c);
    make_activations(extreme);
    std::uniform_real_distribution<float> real(-0.02f, 0.05f);
    for (std::int64_t j = 0; j < c.n; ++j) bias_.push_back(real(random_));
  }

  LinearLowbitArgs args(std::vector<float>& y) const {
    LinearLowbitArgs out;
    out.w = weight_.view();
    out.x = x_.view();
    out.bias = case_.bias ? bias_.data() : nullptr;
    y.assign(static_cast<std::size_t>(case_.m * case_.n), -77.0f);
    out.y = y.data();
    out.y_stride = case_.n;
    return out;
  }

  // In two parts, the first of an odd number of tiles.
  std::vector<float> result(const LinearLowbitKernel& kernel) const {
    const std::int64_t half = layout().tiles() / 4 * 2 + 1;
    return result(kernel, std::min(half, layout().tiles()));
  }
  // Tiles [0, cut), then those behind them.
  std::vector<float> result(const LinearLowbitKernel& kernel,
                            std::int64_t cut) const {
    std::vector<float> y;
    const LinearLowbitArgs all = args(y);
    const LinearLowbitProblem problem = {
        case_.bits,
        case_.m,
        case_.n,
        all.w.k,
        lowbit_segment(all.w.group, all.x.group, all.w.k)};
    const GuardedWorkspace workspace(kernel, problem);
    kernel.run(all, {0, cut, workspace.data()});
    if (cut < layout().tiles()) {
      kernel.run(all, {cut, layout().tiles(), workspace.data()});
    }
    return y;
  }

  // The formula in fp64, and the sum of the magnitudes of its terms.
  void oracle(std::int64_t i, std::int64_t j, double& y, double& terms) const {
    y = terms = 0;
    for (std::int64_t k = 0; k < case_.k; ++k) {
      const double w = weight_.value_at(j, k);
      y += w * x_value(i, k);
      terms += weight_.magnitude_at(j, k) * x_magnitude(i, k);
    }
    if (!case_.bias) return;
    y += bias_[static_cast<std::size_t>(j)];
    terms += std::fabs(bias_[static_cast<std::size_t>(j)]);
  }

  const std::vector<std::int8_t>& codes() const { return weight_.codes(); }
  const LowbitLayout& layout() const { return weight_.layout(); }
  LinearLowbitProblem problem() const {
    return linear_lowbit_problem(weight_.view(), case_.m, case_.x_group);
  }
  const std::vector<std::uint8_t>& packed() const { return weight_.packed(); }

 private:
  void make_activations(bool extreme) {
    const Case& c = case_;
    x_.resize(c.m, c.k, c.x_group, c.x_zeros);
    std::uniform_int_distribution<int> code(-128, 127);
    const auto count = static_cast<std::size_t>(c.m * c.k);
    if (c.x_group == 0) {
      for (std::size_t i = 0; i < count; ++i) {
        x_codes_.push_back(
            static_cast<std::int8_t>(extreme ? -128 : code(random_)));
      }
      for (std::int64_t i = 0; i < c.m; ++i) {
        x_scales_.push_back(0.01f + 0.001f * static_cast<float>(i));
        x_zero_.push_back(code(random_));
      }
      x_.take_rows(
          x_codes_.data(), x_scales_.data(), x_zero_.data(), 0, x_.panels());
      return;
    }
    std::normal_distribution<float> real(0.0f, 3.0f);
    std::vector<float> x(count);
    for (float& v : x) v = real(random_);
    if (nan_row_ >= 0) {
      x[static_cast<std::size_t>(nan_row_ * c.k + c.k / 2)] =
          std::numeric_limits<float>::quiet_NaN();
    }
    const auto kernels = quantize_panels_kernels();
    kernels.back().run(x_.fill_from(x.data(), c.k), 0, x_.panels());
  }

  double x_scale(std::int64_t i, std::int64_t k) const {
    const LowbitActivations x = x_.view();
    const std::int64_t groups =
        x.group == 0 ? 1 : (x.k + x.group - 1) / x.group;
    const std::int64_t g = x.group == 0 ? 0 : k / x.group;
    return x.scales[(i / x.panel * groups + g) * x.panel + i % x.panel];
  }
  int x_code(std::int64_t i, std::int64_t k) const {
    const LowbitActivations x = x_.view();
    return x.codes[(i / x.panel * x.k + k / 4 * 4) * x.panel + i % x.panel * 4 +
                   k % 4];
  }
  double x_value(std::int64_t i, std::int64_t k) const {
    const int zero = case_.x_zeros ? x_zero_[static_cast<std::size_t>(i)] : 0;
    return (x_code(i, k) - zero) * x_scale(i, k);
  }
  // What rounding acts on: the zero point is subtracted from a rounded sum.
  double x_magnitude(std::int64_t i, std::int64_t k) const {
    const int zero = case_.x_zeros ? x_zero_[static_cast<std::size_t>(i)] : 0;
    return (std::abs(x_code(i, k)) + std::abs(zero)) * x_scale(i, k);
  }

  Case case_;
  std::int64_t nan_row_;
  std::mt19937 random_;
  LowbitCaseWeight weight_;
  LowbitActivationBuffer x_;
  std::vector<std::int8_t> x_codes_;
  std::vector<float> x_scales_;
  std::vector<std::int32_t> x_zero_;
  std::vector<float> bias_;
};

// The same again with offsets in place of zero points.
std::vector<Case> with_offsets(std::vector<Case> cases) {
  for (std::size_t i = 0, count = cases.size(); i < count; ++i) {
    Case c = cases[i];
    c.zeros = false;
    c.x_zeros = c.x_group == 0 && i % 5 < 3;
    c.offsets = i % 3 == 0 ? LowbitOffsets::Far : LowbitOffsets::Near;
    cases.push_back(c);
  }
  return cases;
}

std::vector<Case> cases() {
  std::vector<Case> out;
  const std::int64_t rows[] = {1, 2, 3, 4, 5, 6, 8, 9, 16, 17, 33};
  int i = 0;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t m : rows) {
      for (const auto& [k, group] :
           std::vector<std::pair<std::int64_t, std::int64_t>>{{64, 32},
                                                              {576, 64},
                                                              {576, 576},
                                                              {1536, 256},
                                                              {1280, 128},
                                                              {100, 100},
                                                              {7, 7},
                                                              {1100, 1100}}) {
        const std::int64_t x_group = std::int64_t{i % 3} * 32;
        const std::int64_t n[] = {16, 1, 48, 75, 33};
        out.push_back({bits,
                       m,
                       n[i % 5],
                       k,
                       group,
                       x_group,
                       i % 2 == 0,
                       x_group == 0 && i % 4 < 2,
                       i % 7 < 3,
                       static_cast<LowbitScale>(i / 3 % 3)});
        ++i;
      }
    }
  }
  return with_offsets(std::move(out));
}

// Codes from 0 with offsets, and two levels of scales in groups of 16 and more:
// what the block types of GGUF are.
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
                             {5, 256, 256, true},
                             {2, 16, 256, true},
                             {3, 16, 256, false},
                             {6, 16, 256, false},
                             {6, 16, 32, false}};
  for (int bits = 1; bits <= 8; ++bits) {
    forms.push_back({bits, bits % 2 == 0 ? 32 : 64, 0, true});
  }
  std::vector<Case> out;
  int i = 0;
  for (const Form& form : forms) {
    for (const auto& [m, k] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 256},
                                                            {2, 256},
                                                            {3, 256},
                                                            {4, 256},
                                                            {5, 256},
                                                            {8, 256},
                                                            {17, 256},
                                                            {1, 768},
                                                            {9, 768}}) {
      for (const std::int64_t x_group : {0, 32, 64}) {
        const std::int64_t n[] = {16, 1, 48, 75, 33};
        const bool bf16 = i % 4 == 0;
        out.push_back(
            {form.bits,
             m,
             n[i % 5],
             k,
             form.group,
             x_group,
             false,
             x_group == 0 && i % 5 < 3,
             i % 7 < 3,
             bf16 ? LowbitScale::Bf16 : LowbitScale::F16,
             form.from_zero ? LowbitOffsets::Near : LowbitOffsets::None,
             form.from_zero,
             form.super});
        ++i;
      }
    }
  }
  return out;
}

std::vector<Case> all_cases() {
  std::vector<Case> out = cases();
  for (const Case& c : level_cases()) out.push_back(c);
  return out;
}

TEST(LinearLowbitTest, ReferenceIsTheFormulaWithinItsRounding) {
  for (const Case& c : all_cases()) {
    const Problem problem(c);
    const auto y = problem.result(linear_lowbit_kernels().back());
    // An fma a segment, and one of its offset and the rounding of its sum, each
    // of at most the sum of the terms' magnitudes.
    const double each = c.offsets == LowbitOffsets::None ? 1 : 2;
    const double segment = c.group == kLowbitHalf ? 16 : 32;
    const double steps = 4 + each * static_cast<double>(c.k) / segment;
    for (std::int64_t i = 0; i < c.m; ++i) {
      for (std::int64_t j = 0; j < c.n; ++j) {
        double expected = 0;
        double terms = 0;
        problem.oracle(i, j, expected, terms);
        ASSERT_NEAR(y[static_cast<std::size_t>(i * c.n + j)],
                    expected,
                    steps * terms * 0x1p-24 + 1e-30)
            << name(c) << " at " << i << ", " << j;
      }
    }
  }
}

TEST(LinearLowbitTest, EveryKernelGivesTheBitsOfTheReference) {
  const auto kernels = linear_lowbit_kernels();
  for (const LinearLowbitKernel& kernel : kernels) {
    const char* refusal = kernel.refuses({.m = 512}, host_caps());
    if (refusal != nullptr) {
      std::printf("%s: %s\n", kernel.name, refusal);
      continue;
    }
    // Those below a row's least number of rows too: experts have few.
    for (const Case& c : cases()) {
      const Problem problem(c);
      ASSERT_EQ(problem.result(kernel), problem.result(kernels.back()))
          << kernel.name << ": " << name(c);
    }
  }
}

std::vector<LinearLowbitKernel> vector_rows() {
  std::vector<LinearLowbitKernel> out;
  for (const LinearLowbitKernel& kernel : linear_lowbit_kernels()) {
    if (kernel.refuses({}, host_caps()) == nullptr) out.push_back(kernel);
  }
  return out;
}

TEST(LinearLowbitTest, EveryVectorRowTakesTheBlockTypesToTheBit) {
  for (const Case& c : level_cases()) {
    for (const bool extreme : {false, true}) {
      const Problem problem(c, extreme);
      const auto expected = problem.result(linear_lowbit_kernels().back());
      for (const LinearLowbitKernel& kernel : vector_rows()) {
        ASSERT_EQ(kernel.refuses(problem.problem(), host_caps()), nullptr)
            << kernel.name << ": " << name(c);
        ASSERT_EQ(problem.result(kernel), expected)
            << kernel.name << ": " << name(c);
        ASSERT_EQ(problem.result(kernel, problem.layout().tiles()), expected)
            << kernel.name << ": " << name(c) << " in one range";
      }
    }
  }
}

TEST(LinearLowbitTest, ARowOfNaNStaysAloneInTheBlockTypes) {
  for (const Case& c : level_cases()) {
    if (c.x_group == 0 || c.m < 3) continue;
    const Problem clean(c);
    const Problem spoiled(c, false, 1);
    for (const LinearLowbitKernel& kernel : vector_rows()) {
      const auto expected = clean.result(kernel);
      const auto y = spoiled.result(kernel);
      for (std::size_t at = 0; at < y.size(); ++at) {
        if (static_cast<std::int64_t>(at) / c.n == 1) {
          ASSERT_TRUE(std::isnan(y[at])) << kernel.name << ": " << name(c);
        } else {
          ASSERT_EQ(y[at], expected[at]) << kernel.name << ": " << name(c);
        }
      }
    }
  }
}

TEST(LinearLowbitTest, RowsSayWhichLevelsOfScalesTheyTake) {
  Caps caps;
  caps.avx2 = caps.avx512vnni = caps.amx_int8 = true;
  const LinearLowbitProblem halves = {4, 64, 16, 256, 16, false, true};
  const LinearLowbitProblem wide = {6, 64, 16, 256, 64, true, true};
  const auto rows = linear_lowbit_kernels();
  EXPECT_STREQ(rows[0].refuses(wide, caps), "takes no codes that count from 0");
  EXPECT_STREQ(rows[0].refuses({4, 64, 16, 256, 64, false, true}, caps),
               "takes one level of scales");
  for (std::size_t i = 1; i + 1 < rows.size(); ++i) {
    EXPECT_STREQ(rows[i].refuses(halves, caps),
                 "takes groups of 16 with 2, 3 or 6 bits");
    EXPECT_STREQ(
        rows[i].refuses(wide, caps),
        "takes two levels of scales with 4 or 5 bits, or groups of 16");
  }
  EXPECT_EQ(rows.back().refuses(wide, caps), nullptr);
}

// Four tiles at a time and what is left of them: the path of real weights.
std::vector<Case> wide_cases() {
  struct Width {
    std::int64_t k;
    std::int64_t group;
    std::int64_t x_group;
  };
  std::vector<Case> out;
  int i = 0;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t n : {64, 70, 134}) {
      for (const auto& [k, group, x_group] : {Width{64, 32, 0},
                                              Width{576, 64, 64},
                                              Width{1100, 1100, 0},
                                              Width{1280, 128, 32}}) {
        out.push_back({bits,
                       i % 2 == 0 ? 5 : 33,
                       n,
                       k,
                       group,
                       x_group,
                       i % 3 != 0,
                       x_group == 0 && i % 4 < 3,
                       i % 5 < 3,
                       static_cast<LowbitScale>(i % 3)});
        ++i;
      }
    }
  }
  return with_offsets(std::move(out));
}

void expect_wide_ranges(const LinearLowbitKernel& kernel) {
  for (const Case& c : wide_cases()) {
    const Problem problem(c);
    ASSERT_EQ(problem.result(kernel, problem.layout().tiles()),
              problem.result(linear_lowbit_kernels().back()))
        << kernel.name << ": " << name(c);
  }
}

TEST(LinearLowbitTest, EveryKernelTakesManyTilesInOneRange) {
  for (const LinearLowbitKernel& kernel : linear_lowbit_kernels()) {
    if (kernel.refuses({.m = 512}, host_caps()) != nullptr) continue;
    expect_wide_ranges(kernel);
  }
}

// One row reads codes in several ways, which large ranges and small ones take
// in turn; rows of 8 bits have ways of their own.
void expect_every_way(std::int64_t rows, int calls, int from_bits) {
  for (int bits = from_bits; bits <= 8; ++bits) {
    const std::int64_t n = columns_of_a_large_range(bits, 1024);
    for (const std::int64_t group : {32, 128}) {
      const Problem problem({bits,
                             rows,
                             n,
                             1024,
                             group,
                             group == 32 ? 32 : 0,
                             bits % 2 == 0,
                             false,
                             true,
                             LowbitScale::Bf16});
      const auto kernels = linear_lowbit_kernels();
      const auto expected = problem.result(kernels.back());
      for (const auto& kernel : kernels.first(kernels.size() - 1)) {
        if (kernel.refuses({.m = rows}, host_caps()) != nullptr) continue;
        for (int call = 0; call < calls; ++call) {
          ASSERT_EQ(problem.result(kernel, problem.layout().tiles()), expected)
              << kernel.name << ": " << bits << " bits, rows " << rows;
          ASSERT_EQ(problem.result(kernel), expected)
              << kernel.name << ": " << bits << " bits, rows " << rows;
        }
      }
    }
  }
}

TEST(LinearLowbitTest, EveryWayToReadCodesGivesTheBitsOfTheReference) {
  expect_every_way(1, kCallsOfEveryWay, 1);
  for (const std::int64_t rows : {2, 3, 4}) expect_every_way(rows, 1, 8);
}

TEST(LinearLowbitTest, LargestCodesDoNotSaturate) {
  const auto kernels = linear_lowbit_kernels();
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::int64_t m : {1, 2, 4, 8, 17}) {
      const Case c = {
          bits, m, 16, 4096, 4096, 0, true, true, false, LowbitScale::F32};
      const Problem problem(c, /*extreme=*/true);
      const auto expected = problem.result(kernels.back());
      for (const LinearLowbitKernel& kernel : kernels) {
        if (kernel.refuses({.m = 512}, host_caps()) != nullptr) continue;
        ASSERT_EQ(problem.result(kernel), expected)
            << kernel.name << ": " << name(c);
      }
    }
  }
}

// The loops of the AMX row on tiles that plain C++ plays.
const LinearLowbitKernel kEmulated = {
    "emulated tiles",
    nullptr,
    run_linear_lowbit_emulated,
    linear_lowbit_kernels().front().workspace_bytes};

TEST(LinearLowbitTest, EmulatedTilesGiveTheBitsOfTheReference) {
  for (const Case& c : cases()) {
    const Problem problem(c);
    ASSERT_EQ(problem.result(kEmulated),
              problem.result(linear_lowbit_kernels().back()))
        << name(c);
  }
  check_tiles_released();
}

TEST(LinearLowbitTest, EmulatedTilesTakeManyTilesInOneRange) {
  expect_wide_ranges(kEmulated);
  check_tiles_released();
}

// More rows and values of K than a block of the workspace; the largest codes.
TEST(LinearLowbitTest, EmulatedTilesCarrySumsFromBlockToBlock) {
  const auto f32 = LowbitScale::F32;
  for (const Case& c : with_offsets(
           {{4, 530, 70, 1056, 1056, 0, true, true, true, f32},
            {5, 70, 70, 1184, 1184, 64, true, false, true, f32},
            {3, 530, 17, 1056, 32, 32, true, false, true, LowbitScale::F16},
            {8, 17, 16, 33000, 33000, 0, true, true, false, f32}})) {
    for (const bool extreme : {false, true}) {
      const Problem problem(c, extreme);
      const auto expected = problem.result(linear_lowbit_kernels().back());
      ASSERT_EQ(problem.result(kEmulated), expected) << name(c);
      ASSERT_EQ(problem.result(kEmulated, problem.layout().tiles()), expected)
          << name(c) << " in one range";
    }
  }
}

TEST(LinearLowbitTest, EveryRowSaysWhatWorkspaceItNeeds) {
  const auto kernels = linear_lowbit_kernels();
  for (const std::int64_t k : {32, 4096, 14336, 262144}) {
    const LinearLowbitProblem problem = {.k = k};
    expect_workspaces(kernels.subspan(1), problem);
    // AMX keeps 2 MiB of rows, or 16 of them.
    expect_workspace(kernels.front(),
                     problem,
                     kMostWorkspace + std::max<std::int64_t>(2 << 20, 16 * k));
  }
  // Rows of one token, and of two, are summed in registers.
  for (const LinearLowbitKernel& kernel : kernels) {
    if (kernel.refuses({.m = 1}, kEveryCap) != nullptr) continue;
    EXPECT_EQ(kernel.workspace_bytes({.m = 2}, 8), 0) << kernel.name;
  }
  EXPECT_EQ(std::string(kernels.front().name), "linear_i8dyn_ixg_amx");
}

TEST(LinearLowbitTest, LayoutHoldsTheCodesInTheirBits) {
  for (const Case& c : cases()) {
    const Problem problem(c);
    const LowbitLayout& layout = problem.layout();
    EXPECT_EQ(static_cast<std::int64_t>(problem.packed().size()),
              layout.tiles() * 16 * layout.stored_k() * c.bits / 8);
    std::vector<std::int8_t> back(problem.codes().size());
    unpack_lowbit(layout, problem.packed().data(), back.data());
    ASSERT_EQ(back, problem.codes()) << name(c);
  }
}

// Behind K stands the code that counts as 0, or the nearest.
TEST(LinearLowbitTest, LayoutPadsWithZeroPoints) {
  for (int bits = 1; bits <= 8; ++bits) {
    const int half = 1 << (bits - 1);
    const LowbitLayout layout = {bits, 3, 7, 7};
    const std::int8_t low = static_cast<std::int8_t>(-half);
    const std::vector<std::int8_t> codes(21, low);
    const std::int8_t zeros[] = {-128, static_cast<std::int8_t>(half - 1), 127};
    std::vector<std::uint8_t> packed(
        static_cast<std::size_t>(layout.code_bytes()));
    for (const bool asymmetric : {false, true}) {
      pack_lowbit(layout,
                  codes.data(),
                  asymmetric ? zeros : nullptr,
                  0,
                  1,
                  packed.data());
      std::vector<std::int8_t> back(21);
      unpack_lowbit(layout, packed.data(), back.data());
      EXPECT_EQ(back, codes) << bits;
      std::int8_t whole[3][32];
      unpack_lowbit({bits, 3, 32, 32}, packed.data(), whole[0]);
      for (int row = 0; row < 3; ++row) {
        const int expected =
            asymmetric ? std::clamp<int>(zeros[row], -half, half - 1) : 0;
        for (int k = 0; k < 32; ++k) {
          ASSERT_EQ(whole[row][k], k < 7 ? low : expected)
              << bits << " row " << row;
        }
      }
    }
  }
}

TEST(LinearLowbitTest, LayoutNamesTheRuleThatIsBroken) {
  EXPECT_STREQ(lowbit_layout_error({4, 8, 576, 128}),
               "group_size must divide in_features; a scale for each row always "
               "does");
  EXPECT_NE(lowbit_layout_error({4, 8, 96, 96 / 2}), nullptr);
  EXPECT_NE(lowbit_layout_error({9, 8, 64, 64}), nullptr);
  EXPECT_NE(lowbit_layout_error({0, 8, 64, 64}), nullptr);
  EXPECT_EQ(lowbit_layout_error({4, 8, 576, 576}), nullptr);
  EXPECT_EQ(lowbit_layout_error({6, 8, 512, 16, false, 256}), nullptr);
  EXPECT_EQ(lowbit_layout_error({4, 8, 512, 32, true, 256}), nullptr);
  EXPECT_STREQ(lowbit_layout_error({4, 8, 576, 32, true, 256}),
               "super-blocks must divide in_features");
  EXPECT_STREQ(lowbit_layout_error({4, 8, 512, 32, false, 256}),
               "two levels of scales of more than 16 values go with codes from "
               "0");
  for (const auto& [group, super] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{
           {8, 256}, {24, 96}, {32, 16}, {32, 96}}) {
    EXPECT_STREQ(
        lowbit_layout_error({4, 8, 768, group, true, super}),
        "two levels of scales are of groups of 16 or more values and of "
        "super-blocks of such groups, both powers of two");
  }
}

}  // namespace
}  // namespace mantissa::kernels
