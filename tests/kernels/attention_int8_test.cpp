#include "kernels/attention_int8.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/common/exp2_polynomial.h"
#include "kernels/reference/exp2_steps.h"

namespace mantissa::kernels {
namespace {

constexpr double kUnit = 0x1p-24;  // half a unit in the last place of float32
constexpr std::uint8_t kUntouched = 0xa5;

enum class Mask { None, Random, Causal };
enum class Codes { Random, Extreme };

struct Case {
  std::int64_t heads = 2;
  std::int64_t queries = 1;
  std::int64_t keys = 1;
  std::int64_t head_dim = 1;
  Mask mask = Mask::None;
  Codes codes = Codes::Random;
  bool transposed = false;  // [B, T, H, K] in memory
  double scale = 0.2;       // of scores, times that of q and k
  double a_scale = 1.0 / 255;
  int zero = 120;  // of q; the others follow
};

std::string describe(const Case& c) {
  return "heads " + std::to_string(c.heads) + " queries " +
         std::to_string(c.queries) + " keys " + std::to_string(c.keys) +
         " head_dim " + std::to_string(c.head_dim) + " mask " +
         std::to_string(static_cast<int>(c.mask)) + " codes " +
         std::to_string(static_cast<int>(c.codes)) + " transposed " +
         std::to_string(c.transposed) + " zero " + std::to_string(c.zero);
}

// Tensors of a case; each begins at an odd address.
struct Problem {
  explicit Problem(const Case& c) : size(c) {
    std::mt19937 random(7);
    const auto codes = [&](std::int64_t positions) {
      std::vector<std::uint8_t> out(
          static_cast<std::size_t>(2 * c.heads * positions * c.head_dim + 1));
      for (auto& code : out) {
        code = c.codes == Codes::Random ? static_cast<std::uint8_t>(random())
               : random() % 2 == 0      ? std::uint8_t{0}
                                        : std::uint8_t{255};
      }
      return out;
    };
    q = codes(c.queries);
    k = codes(c.keys);
    v = codes(c.keys);
    args.q = q.data() + 1;
    args.k = k.data() + 1;
    args.v = v.data() + 1;
    args.q_strides = strides(c.queries);
    args.k_strides = args.v_strides = strides(c.keys);
    args.out_strides = strides(c.queries);
    args.heads = c.heads;
    args.queries = c.queries;
    args.keys = c.keys;
    args.head_dim = c.head_dim;
    args.q_zero = c.zero;
    args.k_zero = 255 - c.zero;
    args.v_zero = c.zero / 2;
    args.a_zero = c.zero % 5;
    args.o_zero = 100;
    // Scores of unit size, as codes are about 74 from each other.
    args.score_scale = static_cast<float>(
        c.scale / (74.0 * 74.0 * std::sqrt(static_cast<double>(c.head_dim))));
    args.a_scale = c.a_scale;
    args.out_scale = static_cast<float>(c.a_scale * 2.0);
    if (c.mask == Mask::None) return;
    const auto infinity = std::numeric_limits<float>::infinity();
    mask.resize(static_cast<std::size_t>(c.queries * c.keys + 1));
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < c.queries; ++i) {
      for (std::int64_t j = 0; j < c.keys; ++j) {
        mask[static_cast<std::size_t>(i * c.keys + j + 1)] =
            c.mask == Mask::Random ? normal(random)
            : j <= i               ? 0.0f
                                   : -infinity;
      }
    }
    args.mask = mask.data() + 1;
    args.mask_strides = {0, 0, c.keys};
  }

  AttentionStrides strides(std::int64_t positions) const {
    const std::int64_t dim = size.head_dim;
    const std::int64_t heads = size.heads;
    return size.transposed
               ? AttentionStrides{heads * positions * dim, dim, heads * dim}
               : AttentionStrides{
                     heads * positions * dim, positions * dim, dim};
  }

  Case size;
  std::vector<std::uint8_t> q, k, v;
  std::vector<float> mask;
  AttentionInt8Args args;
};

std::vector<std::uint8_t> run(const AttentionInt8Kernel& kernel,
                              Problem& problem,
                              std::int64_t rows = kAttentionRows) {
  AttentionInt8Args& args = problem.args;
  std::vector<std::uint8_t> out(
      static_cast<std::size_t>(2 * args.heads * args.queries * args.head_dim +
                               32),
      kUntouched);
  args.out = out.data() + 1;
  const auto bytes = static_cast<std::size_t>(
      attention_scratch(args.keys, args.head_dim).bytes);
  EXPECT_EQ(bytes % 64, 0U);
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  const std::unique_ptr<void, Free> scratch(std::aligned_alloc(64, bytes));
  std::fill_n(static_cast<std::uint8_t*>(scratch.get()), bytes, kUntouched);
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      kernel.prepare(args, {b, h}, scratch.get());
      for (std::int64_t i = 0; i < args.queries; i += rows) {
        kernel.attend(args,
                      {b, h},
                      i,
                      std::min(args.queries, i + rows),
                      scratch.get());
      }
    }
  }
  return out;
}

double rounded(double v, double zero) {
  return std::clamp(std::nearbyint(v) + zero, 0.0, 255.0);
}

// A row of the formula in float64: every output code lies between `low` and
// `high`, which differ only where float32 may round a tie the other way.
struct Row {
  std::vector<double> low;
  std::vector<double> high;
};

std::vector<double> scores_of(const AttentionInt8Args& args,
                              const std::uint8_t* q,
                              const std::uint8_t* k,
                              std::int64_t i,
                              std::vector<double>& error) {
  std::vector<double> s;
  const double scale = args.score_scale;
  for (std::int64_t j = 0; j < args.keys; ++j) {
    double sum = 0;
    for (std::int64_t d = 0; d < args.head_dim; ++d) {
      sum += (q[d] - args.q_zero) *
             (k[j * args.k_strides.position + d] - args.k_zero);
    }
    s.push_back(sum * scale);
    double off = 3 * kUnit * std::abs(s.back());
    if (args.mask != nullptr) {
      s.back() += args.mask[i * args.mask_strides.position + j];
      off += std::isinf(s.back()) ? 0.0 : kUnit * std::abs(s.back());
    }
    error.push_back(off);
  }
  return s;
}

Row oracle(const AttentionInt8Args& args,
           std::int64_t b,
           std::int64_t h,
           std::int64_t i) {
  const auto at = [&](const auto* data, const AttentionStrides& strides) {
    return data + b * strides.batch + h * strides.head;
  };
  const std::uint8_t* q =
      at(args.q, args.q_strides) + i * args.q_strides.position;
  std::vector<double> error;
  const std::vector<double> s =
      scores_of(args, q, at(args.k, args.k_strides), i, error);
  const auto top = std::max_element(s.begin(), s.end()) - s.begin();
  const double most = s[static_cast<std::size_t>(top)];
  std::vector<double> e;
  double sum = 0;
  double sum_error = 0;
  for (std::size_t j = 0; j < s.size(); ++j) {
    e.push_back(std::exp(s[j] - most));
    // Of the score, of the largest one, of their difference in steps of log 2.
    error[j] += error[static_cast<std::size_t>(top)];
    if (e.back() > 0) error[j] += 4 * kUnit * std::abs(s[j] - most);
    error[j] += kExp2Error;
    sum += e.back();
    sum_error += e.back() * error[j];
  }
  const double sum_off =
      sum_error / sum + kUnit * (static_cast<double>(s.size()) / 16 + 6);
  const auto dims = static_cast<std::size_t>(args.head_dim);
  Row row{std::vector<double>(dims), std::vector<double>(dims)};
  std::vector<double> total(dims);
  std::vector<double> doubt(dims);
  const std::uint8_t* v = at(args.v, args.v_strides);
  for (std::size_t j = 0; j < s.size(); ++j) {
    const double steps = e[j] / sum / args.a_scale;
    // 2^-125 counts as 0.
    const double off =
        steps * (error[j] + sum_off + 3 * kUnit) + 0x1p-124 / args.a_scale;
    const double code = rounded(steps, args.a_zero);
    const double flip = rounded(steps + off, args.a_zero) -
                        rounded(steps - off, args.a_zero);
    for (std::size_t d = 0; d < dims; ++d) {
      const double value =
          v[static_cast<std::int64_t>(j) * args.v_strides.position +
            static_cast<std::int64_t>(d)] -
          args.v_zero;
      total[d] += (code - args.a_zero) * value;
      doubt[d] += flip * std::abs(value);
    }
  }
  for (std::size_t d = 0; d < dims; ++d) {
    const double steps = total[d] * args.out_scale;
    const double off =
        doubt[d] * args.out_scale + 2 * kUnit * std::abs(steps);
    row.low[d] = rounded(steps - off, args.o_zero);
    row.high[d] = rounded(steps + off, args.o_zero);
  }
  return row;
}

// How many codes the oracle leaves open, of how many.
struct Doubt {
  std::int64_t open = 0;
  std::int64_t all = 0;
};

Doubt compare_with_oracle(const AttentionInt8Args& args,
                          const std::uint8_t* out) {
  Doubt doubt;
  for (std::int64_t b = 0; b < 2; ++b) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      for (std::int64_t i = 0; i < args.queries; ++i) {
        const Row row = oracle(args, b, h, i);
        const std::uint8_t* codes = out + b * args.out_strides.batch +
                                    h * args.out_strides.head +
                                    i * args.out_strides.position;
        for (std::int64_t d = 0; d < args.head_dim; ++d) {
          const auto at = static_cast<std::size_t>(d);
          doubt.all += 1;
          doubt.open += row.low[at] != row.high[at];
          if (codes[d] >= row.low[at] && codes[d] <= row.high[at]) continue;
          ADD_FAILURE() << "batch " << b << " head " << h << " query " << i
                        << " dim " << d << ": " << int{codes[d]} << " not in ["
                        << row.low[at] << ", " << row.high[at] << "]";
          return doubt;
        }
      }
    }
  }
  return doubt;
}

TEST(AttentionInt8, PowersOfTwoStayWithinTheirBound) {
  const auto check = [](float x) {
    const double truth = std::exp2(static_cast<double>(x));
    ASSERT_LE(std::abs(exp2_steps(x) - truth), kExp2Error * truth) << x;
  };
  for (int i = 0; i <= 125 << 12; ++i) check(-static_cast<float>(i) / 4096);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> near(-1.5f, 0.0f);
  for (int i = 0; i < 1 << 20; ++i) check(near(random));
  EXPECT_EQ(exp2_steps(0), 1);
  EXPECT_EQ(exp2_steps(std::nextafter(kExp2Least, -200.0f)), 0);
  EXPECT_EQ(exp2_steps(-std::numeric_limits<float>::infinity()), 0);
  EXPECT_TRUE(std::isnan(exp2_steps(NAN)));
}

template <class Check>
void for_each_row(const Check& check) {
  for (const AttentionInt8Kernel& kernel : attention_int8_kernels()) {
    if (kernel.refuses({}, host_caps()) == nullptr) check(kernel);
  }
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const std::int64_t head_dim : {1, 3, 4, 7, 16, 17, 63, 64, 65, 80, 128}) {
    for (const std::int64_t keys : {1, 3, 15, 16, 17, 65, 130}) {
      out.push_back({.queries = 1, .keys = keys, .head_dim = head_dim});
      out.push_back({.queries = 7,
                     .keys = keys,
                     .head_dim = head_dim,
                     .mask = Mask::Random,
                     .transposed = true,
                     .zero = 255});
    }
    out.push_back({.queries = 65,
                   .keys = 65,
                   .head_dim = head_dim,
                   .mask = Mask::Causal,
                   .scale = 2});
  }
  out.push_back({.heads = 1, .queries = 25, .keys = 257, .head_dim = 64});
  out.push_back({.heads = 1,
                 .queries = 31,
                 .keys = 257,
                 .head_dim = 200,
                 .codes = Codes::Extreme,
                 .scale = 30,
                 .zero = 0});
  out.push_back({.heads = 1,
                 .queries = 30,
                 .keys = 70,
                 .head_dim = 64,
                 .mask = Mask::Random,
                 .codes = Codes::Extreme,
                 .scale = -1,
                 .zero = 3});
  // No mask and a scale below 0; a grid that saturates.
  out.push_back({.queries = 9, .keys = 40, .head_dim = 32, .scale = -2});
  out.push_back(
      {.queries = 9, .keys = 40, .head_dim = 32, .a_scale = 1e-4, .zero = 4});
  out.push_back({.queries = 9, .keys = 40, .head_dim = 32, .a_scale = 0x1p-126});
  return out;
}

TEST(AttentionInt8, EveryRowStaysWithinTheBoundOfTheFormula) {
  Doubt sum;
  for_each_row([&](const AttentionInt8Kernel& kernel) {
    for (const Case& c : cases()) {
      SCOPED_TRACE(std::string(kernel.name) + ", " + describe(c));
      Problem problem(c);
      const std::vector<std::uint8_t> out = run(kernel, problem);
      const Doubt doubt = compare_with_oracle(problem.args, out.data() + 1);
      if (c.a_scale > 0x1p-20) sum.open += doubt.open, sum.all += doubt.all;
      // Nothing before it, nothing behind it.
      EXPECT_EQ(out.front(), kUntouched);
      EXPECT_EQ(out[out.size() - 31], kUntouched);
    }
  });
  // A bound that leaves much open would show nothing.
  EXPECT_LT(sum.open, sum.all / 100) << sum.open << " of " << sum.all;
}

TEST(AttentionInt8, EveryRowGivesTheBytesOfTheReference) {
  const AttentionInt8Kernel& reference = attention_int8_kernels().back();
  for (const Case& c : cases()) {
    Problem problem(c);
    const std::vector<std::uint8_t> expected = run(reference, problem);
    for_each_row([&](const AttentionInt8Kernel& kernel) {
      for (const std::int64_t rows : {kAttentionRows, std::int64_t{5}}) {
        EXPECT_TRUE(run(kernel, problem, rows) == expected)
            << kernel.name << ", " << describe(c) << ", rows " << rows;
      }
    });
  }
}

// Sums that 32 bits do not hold, and the first keys of another segment.
TEST(AttentionInt8, MoreKeysThanAnInt32AddsUp) {
  const AttentionInt8Kernel& reference = attention_int8_kernels().back();
  for (const std::int64_t keys :
       {kAttentionSegment, kAttentionSegment + 1, 3 * kAttentionSegment + 5}) {
    Problem problem({.heads = 1,
                     .queries = 2,
                     .keys = keys,
                     .head_dim = 5,
                     .a_scale = 1e-9,  // every code is 255
                     .zero = 0});
    std::fill(problem.v.begin(), problem.v.end(), std::uint8_t{255});
    problem.args.v_zero = 0;
    // The sum has the code 140.
    problem.args.out_scale = static_cast<float>(
        40.0 / (255.0 * 255.0 * static_cast<double>(keys)));
    const std::vector<std::uint8_t> expected = run(reference, problem);
    EXPECT_EQ(expected[1], 140);
    for_each_row([&](const AttentionInt8Kernel& kernel) {
      EXPECT_TRUE(run(kernel, problem) == expected) << kernel.name;
    });
  }
}

// Of a head as long as int32 scores allow, and one longer.
TEST(AttentionInt8, TheLongestHeadIsExact) {
  const AttentionInt8Kernel& reference = attention_int8_kernels().back();
  Problem problem({.heads = 1,
                   .queries = 2,
                   .keys = 18,
                   .head_dim = kAttentionHeadDim,
                   .codes = Codes::Extreme,
                   .zero = 0});
  // The largest difference of scores: 255^2 * 2^15.
  std::fill(problem.q.begin(), problem.q.end(), std::uint8_t{255});
  std::fill_n(problem.k.begin() + 1, kAttentionHeadDim, std::uint8_t{255});
  std::fill_n(problem.k.begin() + 1 + kAttentionHeadDim,
              kAttentionHeadDim,
              std::uint8_t{0});
  const std::vector<std::uint8_t> expected = run(reference, problem);
  for_each_row([&](const AttentionInt8Kernel& kernel) {
    EXPECT_TRUE(run(kernel, problem) == expected) << kernel.name;
    compare_with_oracle(problem.args, run(kernel, problem).data() + 1);
  });
  EXPECT_STREQ(
      select_attention_int8({.head_dim = kAttentionHeadDim + 1}).name,
      "attention_int8_ref");
}

// A softmax that is NaN has codes 0, its neighbours are what they were.
TEST(AttentionInt8, ARowWhoseSoftmaxIsNaNHasCodesZero) {
  const float infinity = std::numeric_limits<float>::infinity();
  for_each_row([&](const AttentionInt8Kernel& kernel) {
    for (const std::int64_t keys : {1, 20, 64, 90}) {
      Problem problem({.heads = 1,
                       .queries = 9,
                       .keys = keys,
                       .head_dim = 24,
                       .mask = Mask::Random});
      const std::vector<std::uint8_t> clean = run(kernel, problem);
      float* mask = problem.mask.data() + 1;
      std::fill_n(mask + 2 * keys, keys, -infinity);
      mask[4 * keys + keys - 1] = NAN;
      mask[5 * keys] = NAN;
      mask[6 * keys + keys / 2] = infinity;
      const std::vector<std::uint8_t> out = run(kernel, problem);
      for (std::int64_t i = 0; i < 9; ++i) {
        const bool is_nan = i == 2 || (i >= 4 && i <= 6);
        for (std::int64_t d = 0; d < 24; ++d) {
          const auto at = static_cast<std::size_t>(1 + i * 24 + d);
          ASSERT_EQ(out[at], is_nan ? 0 : clean[at])
              << kernel.name << " keys " << keys << " row " << i;
        }
      }
    }
  });
}

// The largest negative number is no infinity: all keys weigh the same.
TEST(AttentionInt8, ARowOfTheLeastNumberIsAMean) {
  for_each_row([&](const AttentionInt8Kernel& kernel) {
    Problem problem({.heads = 1,
                     .queries = 1,
                     .keys = 50,
                     .head_dim = 16,
                     .mask = Mask::Random});
    std::fill(problem.mask.begin(),
              problem.mask.end(),
              std::numeric_limits<float>::lowest());
    std::fill(problem.v.begin(), problem.v.end(), std::uint8_t{200});
    problem.args.v_zero = 100;
    problem.args.a_zero = 0;
    problem.args.out_scale = static_cast<float>(1.0 / 255);
    // P = 0.02 has the code 5: 50 * 5 * 100 / 255 + 100.
    EXPECT_EQ(run(kernel, problem)[1], 198) << kernel.name;
  });
}

}  // namespace
}  // namespace mantissa::kernels
