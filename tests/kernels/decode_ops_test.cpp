#include "kernels/decode_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <mantissa/primitives/float_casts.h>

namespace mantissa::kernels {
namespace {

std::vector<float> samples(std::size_t count, unsigned seed, float spread = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> real(0.0f, spread);
  std::vector<float> out(count);
  for (float& v : out) v = real(random);
  return out;
}

class DecodeOpsTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    const char* refusal = kernel().refuses({}, host_caps());
    if (refusal != nullptr) GTEST_SKIP() << kernel().name << ": " << refusal;
  }
  const DecodeOpsKernel& kernel() const {
    return decode_ops_kernels()[GetParam()];
  }
};

TEST_P(DecodeOpsTest, RmsNormIsTheFormula) {
  for (const std::size_t size : {1u, 7u, 16u, 576u, 1001u}) {
    for (const bool one_plus : {false, true}) {
      const auto x = samples(size, 1, 3);
      const auto w = samples(size, 2);
      std::vector<float> y(size);
      kernel().rms_norm({x.data(),
                         w.data(),
                         y.data(),
                         static_cast<std::int64_t>(size),
                         1e-5f,
                         one_plus});
      double squares = 0;
      for (const float v : x) squares += double{v} * v;
      const double factor =
          1 / std::sqrt(squares / static_cast<double>(size) + 1e-5);
      for (std::size_t i = 0; i < size; ++i) {
        const double expected = x[i] * factor * (w[i] + (one_plus ? 1.0 : 0.0));
        EXPECT_NEAR(y[i], expected, 1e-6 * std::fabs(expected) + 1e-12);
      }
    }
  }
}

struct AttendCase {
  std::int64_t dim;
  std::int64_t count;
  std::int64_t heads;
  CacheType cache;
  float cap = 0;
};

std::string name(const AttendCase& c) {
  return "dim " + std::to_string(c.dim) + " count " + std::to_string(c.count) +
         " heads " + std::to_string(c.heads) + " cache " +
         std::to_string(static_cast<int>(c.cache)) + " cap " +
         std::to_string(c.cap);
}

// Rows as a cache holds them, and the values that they stand for.
struct CachedRows {
  CachedRows(const DecodeOpsKernel& kernel,
             const std::vector<float>& x,
             std::int64_t dim,
             CacheType type)
      : bytes(x.size() * (type == CacheType::F32    ? 4
                          : type == CacheType::Bf16 ? 2
                                                    : 1)),
        scales(x.size() / static_cast<std::size_t>(dim)) {
    StoreCachedArgs args;
    args.x = x.data();
    args.rows = bytes.data();
    args.scales = scales.data();
    args.cache = type;
    args.count = static_cast<std::int64_t>(scales.size());
    args.head_dim = dim;
    kernel.store_cached(args);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (type == CacheType::I8) {
        codes.push_back(static_cast<std::int8_t>(bytes[i]));
        values.push_back(double{scales[i / static_cast<std::size_t>(dim)]} *
                         codes.back());
      } else if (type == CacheType::Bf16) {
        std::uint16_t half = 0;
        std::memcpy(&half, bytes.data() + 2 * i, 2);
        values.push_back(bfloat16_to_float(half));
      } else {
        values.push_back(x[i]);
      }
    }
  }

  std::vector<std::uint8_t> bytes;
  std::vector<float> scales;
  std::vector<std::int8_t> codes;  // of I8
  std::vector<double> values;
};

// Queries, and a cache of what they see.
class Attention {
 public:
  Attention(const AttendCase& c, const DecodeOpsKernel& kernel)
      : case_(c),
        q_(samples(static_cast<std::size_t>(c.heads * c.dim), 3, 2)),
        keys_(kernel, samples(rows(), 4, 2), c.dim, c.cache),
        values_(kernel, samples(rows(), 5), c.dim, c.cache) {}

  // In blocks, as a decoder calls it: [heads, dim].
  std::vector<float> run(const DecodeOpsKernel& kernel) const {
    const std::int64_t dim = case_.dim;
    const std::int64_t blocks = (case_.count + kAttendBlock - 1) / kAttendBlock;
    const std::int64_t part = attend_part(dim);
    std::vector<float> parts(
        static_cast<std::size_t>(case_.heads * blocks * part));
    std::vector<float> scratch(
        static_cast<std::size_t>(attend_scratch(case_.heads, dim)), 7.0f);
    const auto row_bytes = static_cast<std::int64_t>(keys_.bytes.size()) /
                           std::max<std::int64_t>(1, case_.count);
    for (std::int64_t b = 0; b < blocks; ++b) {
      const std::int64_t begin = b * kAttendBlock;
      AttendOneArgs args;
      args.q = q_.data();
      args.keys = keys_.bytes.data() + begin * row_bytes;
      args.values = values_.bytes.data() + begin * row_bytes;
      args.key_scales = keys_.scales.data() + begin;
      args.value_scales = values_.scales.data() + begin;
      args.cache = case_.cache;
      args.heads = case_.heads;
      args.count = std::min(kAttendBlock, case_.count - begin);
      args.head_dim = dim;
      args.scale = 0.125f;
      args.cap = case_.cap;
      args.scratch = scratch.data();
      args.parts = parts.data() + b * part;
      args.part_stride = blocks * part;
      kernel.attend_one(args);
    }
    std::vector<float> out(q_.size());
    for (std::int64_t h = 0; h < case_.heads; ++h) {
      kernel.merge_parts({parts.data() + h * blocks * part,
                          blocks,
                          dim,
                          out.data() + h * dim});
    }
    return out;
  }

  // Of one head in fp64, and what float32 may be off by: a score's error moves
  // its weight and the sum of the weights, the rest are roundings.
  void oracle(std::int64_t head,
              std::vector<double>& expected,
              std::vector<double>& bound) const {
    const auto dim = static_cast<std::size_t>(case_.dim);
    const float* q = q_.data() + head * case_.dim;
    double total = 0;
    double off = 0;
    std::vector<double> terms(dim);
    expected.assign(dim, 0);
    for (std::int64_t j = 0; j < case_.count; ++j) {
      const std::size_t at = static_cast<std::size_t>(j) * dim;
      double s = 0;
      double magnitude = 0;
      for (std::size_t d = 0; d < dim; ++d) {
        s += q[d] * keys_.values[at + d] * 0.125;
        magnitude += std::fabs(q[d] * keys_.values[at + d] * 0.125);
      }
      const double capped =
          case_.cap > 0 ? std::tanh(s / case_.cap) * case_.cap : s;
      // A product, dim / 8 + 3 sums, scales; then tanh; then the subtraction.
      off = std::max(off,
                     (static_cast<double>(dim) / 8 + 8) * kEps * magnitude +
                         4 * kEps * case_.cap + 2 * kEps * std::fabs(capped));
      const double weight = std::exp(capped);
      total += weight;
      for (std::size_t d = 0; d < dim; ++d) {
        expected[d] += weight * values_.values[at + d];
        terms[d] += weight * std::fabs(values_.values[at + d]);
      }
    }
    bound.clear();
    for (std::size_t d = 0; d < dim; ++d) {
      expected[d] /= total;
      bound.push_back(
          terms[d] / total *
              (4 * off + (static_cast<double>(case_.count) + 16) * kEps) +
          1e-30);
    }
  }

 private:
  static constexpr double kEps = 0x1p-24;

  std::size_t rows() const {
    return static_cast<std::size_t>(case_.count * case_.dim);
  }

  AttendCase case_;
  std::vector<float> q_;
  CachedRows keys_;
  CachedRows values_;
};

std::vector<AttendCase> attend_cases() {
  std::vector<AttendCase> out;
  for (const CacheType cache :
       {CacheType::F32, CacheType::Bf16, CacheType::I8}) {
    for (const std::int64_t dim : {6, 16, 20, 64, 80, 128}) {
      for (const std::int64_t count : {1, 3, 7, 16, 17, 128, 129, 300}) {
        const std::int64_t heads = 1 + (dim + count) % 5;
        out.push_back({dim, count, heads, cache, count % 2 == 0 ? 0.0f : 5.0f});
      }
    }
  }
  return out;
}

TEST_P(DecodeOpsTest, AttentionIsTheFormulaWithinItsRounding) {
  for (const AttendCase& c : attend_cases()) {
    const Attention attention(c, kernel());
    const auto out = attention.run(kernel());
    std::vector<double> expected;
    std::vector<double> bound;
    for (std::int64_t h = 0; h < c.heads; ++h) {
      attention.oracle(h, expected, bound);
      for (std::size_t d = 0; d < expected.size(); ++d) {
        ASSERT_NEAR(
            out[static_cast<std::size_t>(h * c.dim) + d], expected[d], bound[d])
            << name(c) << " head " << h << " value " << d;
      }
    }
  }
}

TEST_P(DecodeOpsTest, AttentionHasTheBitsOfTheReference) {
  const DecodeOpsKernel& ref = decode_ops_kernels().back();
  for (const AttendCase& c : attend_cases()) {
    const Attention attention(c, kernel());
    EXPECT_EQ(attention.run(kernel()), attention.run(ref)) << name(c);
  }
}

TEST_P(DecodeOpsTest, CachesHoldWhatTheirTypesSay) {
  for (const std::int64_t dim : {6, 64, 80}) {
    auto x = samples(static_cast<std::size_t>(5 * dim), 21, 3);
    for (std::int64_t d = 0; d < dim; ++d) x[static_cast<std::size_t>(d)] = 0;
    const CachedRows coded(kernel(), x, dim, CacheType::I8);
    const CachedRows halves(kernel(), x, dim, CacheType::Bf16);
    EXPECT_EQ(coded.scales[0], 0x1p-120f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(static_cast<float>(halves.values[i]),
                bfloat16_to_float(float_to_bfloat16(x[i])));
      const std::size_t row = i / static_cast<std::size_t>(dim);
      float most = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        most = std::max(most,
                        std::fabs(x[row * static_cast<std::size_t>(dim) +
                                    static_cast<std::size_t>(d)]));
      }
      EXPECT_EQ(coded.scales[row], std::max(most / 127.0f, 0x1p-120f));
      EXPECT_EQ(
          coded.codes[i],
          static_cast<int>(std::nearbyint(x[i] * (1.0f / coded.scales[row]))));
      EXPECT_LE(std::abs(int{coded.codes[i]}), 127);
      EXPECT_NEAR(coded.values[i], x[i], 0.5001 * coded.scales[row]);
    }
  }
}

TEST_P(DecodeOpsTest, ACachedRowThatIsNotFiniteIsNan) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}) {
    auto x = samples(3 * 64, 22);
    x[70] = bad;
    const CachedRows rows(kernel(), x, 64, CacheType::I8);
    EXPECT_TRUE(std::isfinite(rows.scales[0]));
    EXPECT_TRUE(std::isnan(rows.scales[1]));
    EXPECT_TRUE(std::isfinite(rows.scales[2]));
    for (std::size_t d = 0; d < 64; ++d) EXPECT_EQ(rows.codes[64 + d], 0);
    const CachedRows halves(kernel(), x, 64, CacheType::Bf16);
    EXPECT_FALSE(std::isfinite(halves.values[70]));
  }
}

TEST_P(DecodeOpsTest, GatesAreTheFormulas) {
  for (const std::size_t size : {1u, 5u, 8u, 1536u}) {
    auto x = samples(size, 8, 6);
    x[0] = -200.0f;
    const auto up = samples(size, 9);
    for (const auto activation : {GateActivation::Silu,
                                  GateActivation::Gelu,
                                  GateActivation::GeluTanh}) {
      std::vector<float> y = x;
      kernel().gate(
          {y.data(), up.data(), static_cast<std::int64_t>(size), activation});
      for (std::size_t i = 0; i < size; ++i) {
        const double v = x[i];
        double expected = v / (1 + std::exp(-v));
        if (activation == GateActivation::Gelu) {
          expected = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
        } else if (activation == GateActivation::GeluTanh) {
          expected =
              0.5 * v *
              (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
        }
        // 1 + erf(x) and 1 + tanh(x) cancel where x is far below 0.
        EXPECT_NEAR(
            y[i],
            expected * up[i],
            2e-6 * std::fabs(expected * up[i]) + 3e-7 * std::fabs(v * up[i]))
            << v;
      }
    }
  }
}

TEST_P(DecodeOpsTest, SiluFarBelowZeroIsZero) {
  std::vector<float> x(8, -1e38f);
  const std::vector<float> up(8, 1.0f);
  kernel().gate({x.data(), up.data(), 8, GateActivation::Silu});
  for (const float v : x) EXPECT_EQ(v, 0.0f);
}

TEST_P(DecodeOpsTest, SameBitsAsTheReference) {
  const DecodeOpsKernel& ref = decode_ops_kernels().back();
  const auto x = samples(576, 10, 3);
  const auto w = samples(576, 11);
  std::vector<float> a(576), b(576);
  kernel().rms_norm({x.data(), w.data(), a.data(), 576, 1e-5f, false});
  ref.rms_norm({x.data(), w.data(), b.data(), 576, 1e-5f, false});
  EXPECT_EQ(a, b);
  a = b = x;
  kernel().gate({a.data(), w.data(), 576, GateActivation::Silu});
  ref.gate({b.data(), w.data(), 576, GateActivation::Silu});
  EXPECT_EQ(a, b);
}

TEST_P(DecodeOpsTest, RowsByVectorIsTheFormula) {
  constexpr std::int64_t kRows = 9;
  for (const std::int64_t size : {16, 48, 576}) {
    const auto x = samples(static_cast<std::size_t>(size), 13);
    auto w = samples(static_cast<std::size_t>(kRows * size), 14);
    std::vector<std::uint16_t> narrow;
    for (float& v : w) {
      narrow.push_back(float_to_bfloat16(v));
      v = bfloat16_to_float(narrow.back());
    }
    for (const bool wide : {false, true}) {
      std::vector<float> y(kRows, -1.0f);
      RowsByVectorArgs args;
      args.w = wide ? static_cast<const void*>(w.data()) : narrow.data();
      args.type = wide ? Element::F32 : Element::Bf16;
      args.x = x.data();
      args.y = y.data();
      args.size = size;
      args.begin = 2;
      args.end = kRows;
      kernel().rows_by_vector(args);
      EXPECT_EQ(y[0], -1.0f);
      for (std::size_t j = 2; j < kRows; ++j) {
        double expected = 0;
        double terms = 0;
        for (std::size_t k = 0; k < x.size(); ++k) {
          expected += double{w[j * x.size() + k]} * x[k];
          terms += std::fabs(w[j * x.size() + k] * x[k]);
        }
        EXPECT_NEAR(y[j], expected, 1e-6 * terms);
      }
    }
  }
}

TEST_P(DecodeOpsTest, NanSpoilsTheHead) {
  const std::vector<float> q(64, 1.0f);
  for (const std::int64_t at : {0, 70, 199 * 64}) {
    std::vector<float> keys(64 * 200, 1.0f);
    keys[static_cast<std::size_t>(at)] =
        std::numeric_limits<float>::quiet_NaN();
    std::vector<float> scratch(static_cast<std::size_t>(attend_scratch(1, 64)));
    const std::int64_t part = attend_part(64);
    std::vector<float> parts(static_cast<std::size_t>(2 * part));
    for (const std::int64_t begin : {0, 128}) {
      AttendOneArgs args;
      args.q = q.data();
      args.keys = keys.data() + begin * 64;
      args.values = args.keys;
      args.count = std::min<std::int64_t>(128, 200 - begin);
      args.head_dim = 64;
      args.scratch = scratch.data();
      args.parts = parts.data() + begin / 128 * part;
      args.part_stride = 2 * part;
      kernel().attend_one(args);
    }
    std::vector<float> out(64);
    kernel().merge_parts({parts.data(), 2, 64, out.data()});
    for (const float v : out) EXPECT_TRUE(std::isnan(v)) << at;
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, DecodeOpsTest, ::testing::Values(0u, 1u, 2u));

}  // namespace
}  // namespace mantissa::kernels
