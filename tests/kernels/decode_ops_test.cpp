#include "kernels/decode_ops.h"

#include <cmath>
#include <limits>
#include <random>
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
  bool narrow;  // a bfloat16 cache
  float cap;
};

// A query, its cache and what it sees, in floats that the cache holds exactly.
class Attention {
 public:
  explicit Attention(const AttendCase& c) : case_(c) {
    const auto rows = static_cast<std::size_t>(c.count * c.dim);
    const auto dim = static_cast<std::size_t>(c.dim);
    q_ = samples(dim, 3, 2);
    keys_ = samples(rows, 4, 2);
    values_ = samples(rows, 5);
    narrow(keys_, keys16_);
    narrow(values_, values16_);
    key_ = samples(dim, 6, 2);
    value_ = samples(dim, 7);
  }

  std::vector<float> run(const DecodeOpsKernel& kernel) const {
    std::vector<float> scores(static_cast<std::size_t>(case_.count) + 16);
    std::vector<float> out(q_.size());
    AttendOneArgs args;
    args.q = q_.data();
    args.keys =
        case_.narrow ? static_cast<const void*>(keys16_.data()) : keys_.data();
    args.values = case_.narrow ? static_cast<const void*>(values16_.data())
                               : values_.data();
    args.cache = case_.narrow ? Element::Bf16 : Element::F32;
    args.key = key_.data();
    args.value = value_.data();
    args.count = case_.count;
    args.head_dim = case_.dim;
    args.scale = 0.125f;
    args.cap = case_.cap;
    args.scores = scores.data();
    args.out = out.data();
    kernel.attend_one(args);
    return out;
  }

  // The formula in fp64, and the sum of the magnitudes of its terms.
  void oracle(std::size_t i, double& expected, double& terms) const {
    double total = 0;
    expected = terms = 0;
    for (std::int64_t j = 0; j <= case_.count; ++j) {
      double s = 0;
      for (std::size_t d = 0; d < q_.size(); ++d) {
        s += double{q_[d]} * of(keys_, key_, j, d);
      }
      s *= 0.125;
      if (case_.cap > 0) s = std::tanh(s / case_.cap) * case_.cap;
      const double weight = std::exp(s);
      const double v = of(values_, value_, j, i);
      total += weight;
      expected += weight * v;
      terms += weight * std::fabs(v);
    }
    expected /= total;
    terms /= total;
  }

 private:
  void narrow(std::vector<float>& wide, std::vector<std::uint16_t>& out) const {
    for (float& v : wide) {
      out.push_back(float_to_bfloat16(v));
      if (case_.narrow) v = bfloat16_to_float(out.back());
    }
  }
  float of(const std::vector<float>& rows,
           const std::vector<float>& last,
           std::int64_t j,
           std::size_t d) const {
    return j == case_.count ? last[d]
                            : rows[static_cast<std::size_t>(j * case_.dim) + d];
  }

  AttendCase case_;
  std::vector<float> q_, keys_, values_, key_, value_;
  std::vector<std::uint16_t> keys16_, values16_;
};

TEST_P(DecodeOpsTest, AttentionIsTheFormula) {
  for (const std::int64_t dim : {16, 64, 80, 128}) {
    for (const std::int64_t count : {0, 1, 7, 15, 16, 300}) {
      for (const bool narrow : {false, true}) {
        for (const float cap : {0.0f, 5.0f}) {
          const Attention attention({dim, count, narrow, cap});
          const auto out = attention.run(kernel());
          for (std::size_t i = 0; i < out.size(); ++i) {
            double expected = 0;
            double terms = 0;
            attention.oracle(i, expected, terms);
            ASSERT_NEAR(out[i], expected, 2e-5 * terms)
                << "dim " << dim << " count " << count;
          }
        }
      }
    }
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
  const auto cache = samples(64 * 100, 12);
  std::vector<float> scores(116), p(64), q(64);
  AttendOneArgs args{x.data(),
                     cache.data(),
                     cache.data(),
                     Element::F32,
                     w.data(),
                     w.data(),
                     100,
                     64,
                     0.125f,
                     0,
                     scores.data(),
                     p.data()};
  kernel().attend_one(args);
  args.out = q.data();
  ref.attend_one(args);
  EXPECT_EQ(p, q);
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
  std::vector<float> q(64, 1.0f), key(64, 1.0f), value(64, 1.0f);
  std::vector<float> keys(64 * 4, 1.0f), scores(32), out(64);
  keys[70] = std::numeric_limits<float>::quiet_NaN();
  kernel().attend_one({q.data(),
                       keys.data(),
                       keys.data(),
                       Element::F32,
                       key.data(),
                       value.data(),
                       4,
                       64,
                       0.125f,
                       0,
                       scores.data(),
                       out.data()});
  for (const float v : out) EXPECT_TRUE(std::isnan(v));
}

INSTANTIATE_TEST_SUITE_P(Rows, DecodeOpsTest, ::testing::Values(0u, 1u, 2u));

}  // namespace
}  // namespace mantissa::kernels
