#include "kernels/attention_bf16.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <mantissa/primitives/float_casts.h>

#include "kernels/common/exp2_polynomial.h"
#include "kernels/emulated_bf16_tiles.h"

namespace mantissa::kernels {
namespace {

constexpr double kUnit = 0x1p-24;  // half a unit in the last place of float32
constexpr double kHalf = 0x1p-8;   // the same of bfloat16
constexpr std::int64_t kBatches = 2;

struct Case {
  std::int64_t kv_heads = 1;
  std::int64_t sharing = 1;
  std::int64_t queries = 1;
  std::int64_t past = 0;
  std::int64_t head_dim = 64;
  std::int64_t window = 0;
  float cap = 0;
  bool transposed = false;  // [B, T, heads, head_dim] in memory
  float size = 1;           // of queries
};

std::string describe(const Case& c) {
  return "heads " + std::to_string(c.kv_heads) + " x " +
         std::to_string(c.sharing) + " queries " + std::to_string(c.queries) +
         " past " + std::to_string(c.past) + " head_dim " +
         std::to_string(c.head_dim) + " window " + std::to_string(c.window) +
         " cap " + std::to_string(c.cap) + " transposed " +
         std::to_string(c.transposed);
}

// Tensors of a case; each begins beside an aligned address.
struct Problem {
  explicit Problem(const Case& c) : size(c) {
    std::mt19937 random(11);
    std::normal_distribution<float> normal;
    const std::int64_t keys = c.past + c.queries;
    const std::int64_t heads = c.kv_heads * c.sharing;
    const auto count = [&](std::int64_t all, std::int64_t positions) {
      return static_cast<std::size_t>(kBatches * all * positions * c.head_dim +
                                      1);
    };
    q.resize(count(heads, c.queries));
    for (float& v : q) v = c.size * normal(random);
    for (auto* rows : {&k, &v}) {
      rows->resize(count(c.kv_heads, keys));
      for (auto& bits : *rows) bits = float_to_bfloat16(normal(random));
    }
    args.q = q.data() + 1;
    args.k = k.data() + 1;
    args.v = v.data() + 1;
    args.q_strides = args.out_strides = strides(heads, c.queries);
    args.k_strides = args.v_strides = strides(c.kv_heads, keys);
    args.heads = heads;
    args.kv_heads = c.kv_heads;
    args.queries = c.queries;
    args.keys = keys;
    args.head_dim = c.head_dim;
    args.window = c.window;
    args.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
    args.cap = c.cap;
  }

  AttentionStrides strides(std::int64_t heads, std::int64_t positions) const {
    const std::int64_t dim = size.head_dim;
    const std::int64_t batch = heads * positions * dim;
    return size.transposed ? AttentionStrides{batch, dim, heads * dim}
                           : AttentionStrides{batch, positions * dim, dim};
  }

  Case size;
  std::vector<float> q;
  std::vector<std::uint16_t> k, v;
  AttentionBf16Args args;
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};

// Queries in parts of `rows`; what is not written stays NaN.
std::vector<float> run(const AttentionBf16Kernel& kernel,
                       Problem& problem,
                       std::int64_t rows = 1 << 20) {
  AttentionBf16Args& args = problem.args;
  std::vector<float> out(problem.q.size() + 16, NAN);
  args.out = out.data() + 1;
  const auto bytes =
      static_cast<std::size_t>(attention_bf16_bytes(args.keys, args.head_dim));
  EXPECT_EQ(bytes % 64, 0U);
  const std::unique_ptr<void, Free> packed(std::aligned_alloc(64, bytes));
  for (std::int64_t b = 0; b < kBatches; ++b) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      std::fill_n(static_cast<std::uint8_t*>(packed.get()), bytes, 0xff);
      const AttentionHead kv = {b, h / problem.size.sharing};
      for (std::int64_t p = 0; p < attention_panels(args.keys); ++p) {
        kernel.pack(args, kv, p, p + 1, packed.get());
      }
      for (std::int64_t i = 0; i < args.queries; i += rows) {
        kernel.attend(
            args, {b, h}, i, std::min(args.queries, i + rows), packed.get());
      }
    }
  }
  return out;
}

const std::uint16_t* row_of(const std::uint16_t* data,
                            const AttentionStrides& strides,
                            const AttentionHead& head,
                            std::int64_t j) {
  return data + head.batch * strides.batch + head.head * strides.head +
         j * strides.position;
}

// What a query sees, in float64 with the query as it is rounded.
struct Scores {
  std::int64_t first = 0;
  std::vector<double> value;
  std::vector<double> error;  // of float32 sums
  double most = 0;
};

Scores scores_of(const AttentionBf16Args& args,
                 const float* q,
                 const AttentionHead& kv,
                 std::int64_t position) {
  Scores s;
  if (args.window > 0) {
    s.first = std::max<std::int64_t>(0, position - args.window + 1);
  }
  for (std::int64_t j = s.first; j <= position; ++j) {
    const std::uint16_t* key = row_of(args.k, args.k_strides, kv, j);
    double sum = 0;
    double size = 0;
    for (std::int64_t d = 0; d < args.head_dim; ++d) {
      const double product =
          static_cast<double>(bfloat16_to_float(float_to_bfloat16(q[d]))) *
          bfloat16_to_float(key[d]);
      sum += product;
      size += std::abs(product);
    }
    const double dim = static_cast<double>(args.head_dim);
    double error = dim * kUnit * size * args.scale;
    sum *= args.scale;
    if (args.cap > 0) {
      sum = args.cap * std::tanh(sum / args.cap);
      error += 8 * kUnit * args.cap;
    }
    s.value.push_back(sum);
    s.error.push_back(error);
  }
  s.most = *std::ranges::max_element(s.value);
  return s;
}

// A query's row of the formula in float64, and how far float32 sums and weights
// of bfloat16 may be from it.
struct Row {
  std::vector<double> value;
  std::vector<double> bound;
};

Row oracle(const AttentionBf16Args& args,
           std::int64_t b,
           std::int64_t h,
           std::int64_t i) {
  const AttentionHead kv = {b, h / (args.heads / args.kv_heads)};
  const float* q = args.q + b * args.q_strides.batch + h * args.q_strides.head +
                   i * args.q_strides.position;
  const Scores s = scores_of(args, q, kv, args.keys - args.queries + i);
  const auto dims = static_cast<std::size_t>(args.head_dim);
  Row row{std::vector<double>(dims), std::vector<double>(dims)};
  double total = 0;
  for (const double v : s.value) total += std::exp(v - s.most);
  const auto count = static_cast<double>(s.value.size());
  const auto each = [&](const auto& use) {
    for (std::size_t j = 0; j < s.value.size(); ++j) {
      const std::uint16_t* v = row_of(
          args.v, args.v_strides, kv, s.first + static_cast<std::int64_t>(j));
      const double w = std::exp(s.value[j] - s.most) / total;
      for (std::size_t d = 0; d < dims; ++d) {
        use(j, d, w, static_cast<double>(bfloat16_to_float(v[d])));
      }
    }
  };
  each([&](std::size_t, std::size_t d, double w, double v) {
    row.value[d] += w * v;
  });
  // A weight is off by its score, the power of two, the change of the largest
  // score from block to block, and its rounding; all weights by the same factor
  // leave the mean where it is.
  each([&](std::size_t j, std::size_t d, double w, double v) {
    const double weight =
        std::expm1(s.error[j] +
                   6 * kUnit * (std::abs(s.value[j]) + std::abs(s.most))) +
        (1 + count / kAttentionPanel) * (kExp2Error + 2 * kUnit) + kHalf;
    row.bound[d] += w * (weight * std::abs(v - row.value[d]) * 1.02 +
                         (count + 8) * kUnit * std::abs(v));
  });
  return row;
}

// The largest error over its bound.
double worst(const AttentionBf16Args& args, const float* out) {
  double most = 0;
  for (std::int64_t b = 0; b < kBatches; ++b) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      for (std::int64_t i = 0; i < args.queries; ++i) {
        const Row row = oracle(args, b, h, i);
        const float* y = out + b * args.out_strides.batch +
                         h * args.out_strides.head +
                         i * args.out_strides.position;
        for (std::int64_t d = 0; d < args.head_dim; ++d) {
          const auto at = static_cast<std::size_t>(d);
          const double error = std::abs(y[d] - row.value[at]);
          // A query that sees one key has its values to the bit.
          const double part = error == 0 ? 0 : error / row.bound[at];
          most = part <= most ? most : part;
          if (std::isnan(part)) return part;
        }
      }
    }
  }
  return most;
}

// The loops of the AMX row on tiles that plain C++ plays.
constexpr AttentionBf16Kernel kEmulated = {"emulated tiles",
                                           nullptr,
                                           pack_attention_bf16_amx,
                                           attend_bf16_emulated,
                                           kAttentionAmxTile};

template <class Check>
void for_each_row(const Check& check) {
  for (const AttentionBf16Kernel& kernel : attention_bf16_kernels()) {
    if (kernel.refuses({}, host_caps()) == nullptr) check(kernel);
  }
  if (host_caps().avx512bf16) {
    check(kEmulated);
    check_bf16_tiles_released();
  } else {
    std::printf("emulated tiles: needs AVX-512 BF16\n");
  }
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const std::int64_t head_dim : {2, 16, 20, 64, 80, 128, 512}) {
    for (const std::int64_t queries : {1, 2, 3, 5, 6, 7, 13, 16, 17, 33, 70}) {
      out.push_back({.queries = queries, .head_dim = head_dim});
      out.push_back({.sharing = 2,
                     .queries = queries,
                     .past = 61,
                     .head_dim = head_dim,
                     .transposed = true});
    }
  }
  for (const std::int64_t window : {1, 2, 15, 16, 17, 64, 65, 200, 1000}) {
    out.push_back(
        {.queries = 75, .past = 250, .head_dim = 16, .window = window});
  }
  // Some blocks of keys, beginning and ending anywhere.
  for (const std::int64_t past : {190, 250, 256, 257, 511}) {
    out.push_back({.queries = 9, .past = past, .head_dim = 32, .size = 6});
  }
  out.push_back({.kv_heads = 3, .sharing = 3, .queries = 140, .past = 3});
  for (const float cap : {0.5f, 30.0f}) {
    out.push_back(
        {.queries = 40, .past = 33, .head_dim = 24, .cap = cap, .size = 8});
  }
  return out;
}

TEST(AttentionBf16, IsTheFormulaWithinItsBound) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    double most = 0;
    for (const Case& c : cases()) {
      Problem problem(c);
      const std::vector<float> out = run(kernel, problem);
      const double part = worst(problem.args, out.data() + 1);
      EXPECT_LE(part, 1) << kernel.name << ": " << describe(c);
      most = std::max(most, part);
      EXPECT_TRUE(std::isnan(out[0]));
      EXPECT_TRUE(std::isnan(out[problem.q.size()]));
    }
    // The bound is not far from what happens.
    EXPECT_GT(most, 0.3) << kernel.name;
  });
}

// Windows too, whose first keys lie anywhere in a block.
TEST(AttentionBf16, PartsOfWholeTilesGiveTheSameBytes) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    for (const std::int64_t window : {0, 40}) {
      Problem problem({.queries = 110, .past = 20, .window = window});
      const std::vector<float> whole = run(kernel, problem);
      for (const std::int64_t tiles : {1, 2}) {
        const std::vector<float> parts =
            run(kernel, problem, tiles * kernel.tile);
        for (std::size_t i = 1; i < problem.q.size(); ++i) {
          ASSERT_EQ(whole[i], parts[i]) << kernel.name << " " << i;
        }
      }
    }
  });
}

TEST(AttentionBf16, LargeScoresStayFinite) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    Problem problem({.queries = 80, .size = 1e4f});
    const std::vector<float> out = run(kernel, problem);
    for (std::size_t i = 1; i < problem.q.size(); ++i) {
      ASSERT_TRUE(std::isfinite(out[i])) << kernel.name << " " << i;
    }
  });
}

// Whether rows of head 0 of batch 0 are finite.
std::vector<bool> finite_rows(const Problem& problem,
                              const std::vector<float>& out) {
  std::vector<bool> finite;
  const std::int64_t dim = problem.size.head_dim;
  for (std::int64_t i = 0; i < problem.size.queries; ++i) {
    const float* row = out.data() + 1 + i * dim;
    const auto good =
        std::count_if(row, row + dim, [](float v) { return std::isfinite(v); });
    EXPECT_TRUE(good == 0 || good == dim) << i;
    finite.push_back(good == dim);
  }
  return finite;
}

TEST(AttentionBf16, AQueryThatIsNotFiniteSpoilsItselfAlone) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      Problem problem({.queries = 20, .past = 100});
      problem.q[1 + 7 * 64 + 3] = bad;
      const auto finite = finite_rows(problem, run(kernel, problem));
      for (std::size_t i = 0; i < finite.size(); ++i) {
        EXPECT_EQ(finite[i], i != 7) << kernel.name << " " << i;
      }
    }
  });
}

TEST(AttentionBf16, AKeyThatIsNotANumberSpoilsWhoSeesIt) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    Problem problem({.queries = 20, .past = 100, .window = 6});
    problem.k[1 + 107 * 64 + 3] = 0x7fc0;
    const auto finite = finite_rows(problem, run(kernel, problem));
    for (std::size_t i = 0; i < finite.size(); ++i) {
      EXPECT_EQ(finite[i], i < 7 || i >= 13) << kernel.name << " " << i;
    }
  });
}

// What lies farther from those that see it than a panel is finite.
TEST(AttentionBf16, AValueThatIsNotANumberSpoilsWhoIsNearIt) {
  for_each_row([](const AttentionBf16Kernel& kernel) {
    for (const std::int64_t at : {64, 70, 95, 96, 127, 128, 200}) {
      for (const std::int64_t window : {5, 30, 70}) {
        Problem problem({.queries = 300, .past = 3, .window = window});
        problem.v[static_cast<std::size_t>(1 + at * 64 + 3)] = 0x7fc0;
        // One element of the head.
        const std::vector<float> out = run(kernel, problem);
        for (std::int64_t i = 0; i < 300; ++i) {
          const std::int64_t behind = i + 3 - at;
          const bool finite =
              std::isfinite(out[static_cast<std::size_t>(1 + i * 64 + 3)]);
          if (behind >= 0 && behind < window) {
            ASSERT_FALSE(finite) << kernel.name << " " << at << " " << i;
          }
          if (behind < -kAttentionPanel || behind >= window + kAttentionPanel) {
            ASSERT_TRUE(finite) << kernel.name << " " << at << " " << i;
          }
        }
      }
    }
  });
}

TEST(AttentionBf16, OddAndLongHeadsAreForTheReference) {
  const auto& kernels = attention_bf16_kernels();
  for (const std::size_t row : {0, 1}) {
    EXPECT_STREQ(kernels[row].refuses({63}, kEveryCap),
                 "needs an even head dimension");
    EXPECT_STREQ(kernels[row].refuses({514}, kEveryCap),
                 "needs a head dimension of 512 or less");
    EXPECT_EQ(kernels[row].refuses({512}, kEveryCap), nullptr);
  }
  EXPECT_EQ(kernels.back().refuses({63}, kEveryCap), nullptr);
}

}  // namespace
}  // namespace mantissa::kernels
