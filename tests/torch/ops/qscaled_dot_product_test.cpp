#include "torch/ops/qscaled_dot_product.h"

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "torch/refusal.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::refusal;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Sizes {
  std::int64_t batch, heads, queries, keys, head_dim;
};

struct Inputs {
  at::Tensor q, k, v;
  QScaledDotProductOptions options;
};

at::Tensor codes(const Sizes& s, std::int64_t length, c10::ScalarType dtype) {
  const at::Tensor x = torch::randn({s.batch, s.heads, length, s.head_dim});
  return dtype == at::kByte ? (x * 40 + 128).round().clamp(0, 255).to(dtype)
                            : (x * 40).to(dtype);
}

Inputs inputs(const Sizes& s, c10::ScalarType dtype) {
  Inputs in{codes(s, s.queries, dtype),
            codes(s, s.keys, dtype),
            codes(s, s.keys, dtype),
            {}};
  const bool is_byte = dtype == at::kByte;
  in.options.q_scale = 0.03;
  in.options.k_scale = 0.025;
  in.options.v_scale = 0.02;
  in.options.a_scale = 1.0 / 300;
  in.options.o_scale = 0.015;
  in.options.q_zp = is_byte ? 120 : 0;
  in.options.k_zp = is_byte ? 131 : 0;
  in.options.v_zp = is_byte ? 127 : 0;
  in.options.a_zp = is_byte ? 3 : 0;
  in.options.o_zp = is_byte ? 128 : 0;
  return in;
}

// What the codes of x stand for, and codes of values, as float64.
at::Tensor decoded(const at::Tensor& x, double scale, std::int64_t zero) {
  return (x.to(at::kDouble) - zero) * scale;
}

at::Tensor encoded(const at::Tensor& steps,
                   std::int64_t zero,
                   c10::ScalarType dtype) {
  if (dtype == at::kByte) return (steps.round() + zero).clamp(0, 255);
  return steps.clamp(-448, 448).to(at::kFloat).to(dtype).to(at::kDouble);
}

struct Range {
  at::Tensor low;
  at::Tensor high;
};

// The formula in float64: between which codes float32 leaves the output.
Range oracle(const Inputs& in) {
  const QScaledDotProductOptions& o = in.options;
  const c10::ScalarType dtype = in.q.scalar_type();
  const double root = std::sqrt(static_cast<double>(in.q.size(3)));
  at::Tensor scores =
      decoded(in.q, o.q_scale, o.q_zp)
          .matmul(decoded(in.k, o.k_scale, o.k_zp).transpose(-2, -1)) *
      o.scale.value_or(1 / root);
  if (o.attn_mask) scores = scores + o.attn_mask->to(at::kDouble);
  const at::Tensor steps = scores.softmax(-1) / o.a_scale;
  // Of sums of 16 parts, and of scores below 100 with the mask.
  const double off =
      (static_cast<double>(in.k.size(2)) + 200.0) * 0x1p-24;
  const at::Tensor p =
      (encoded(steps, o.a_zp, dtype) - o.a_zp) * o.a_scale;
  const at::Tensor flips = (encoded(steps * (1 + off), o.a_zp, dtype) -
                            encoded(steps * (1 - off), o.a_zp, dtype)) *
                           o.a_scale;
  const at::Tensor v = decoded(in.v, o.v_scale, o.v_zp);
  const at::Tensor out = p.matmul(v) / o.o_scale;
  const at::Tensor doubt =
      (flips.matmul(v.abs()) + off * p.abs().matmul(v.abs())) / o.o_scale;
  return {encoded(out - doubt, o.o_zp, dtype),
          encoded(out + doubt, o.o_zp, dtype)};
}

// Every code lies in its range, and nearly all ranges are one code.
void expect_in_range(const Inputs& in, const at::Tensor& out) {
  const Range range = oracle(in);
  const at::Tensor found = out.to(at::kDouble);
  ASSERT_EQ(out.scalar_type(), in.q.scalar_type());
  ASSERT_EQ(out.sizes(), in.q.sizes());
  EXPECT_TRUE(
      ((found >= range.low) & (found <= range.high)).all().item<bool>())
      << "off by up to "
      << at::maximum(range.low - found, found - range.high)
             .max()
             .item<double>();
  EXPECT_LE((range.low != range.high).sum().item<std::int64_t>(),
            2 + out.numel() / 20);
}

class QScaledDotProductTest
    : public ::testing::TestWithParam<c10::ScalarType> {
 protected:
  void SetUp() override { torch::manual_seed(21); }
};

TEST_P(QScaledDotProductTest, StaysWithinTheBoundOfTheFormula) {
  for (const Sizes& s : {Sizes{1, 1, 1, 1, 1},
                         Sizes{2, 3, 1, 7, 5},
                         Sizes{2, 3, 7, 65, 64},
                         Sizes{1, 2, 65, 7, 33},
                         Sizes{1, 2, 65, 257, 64},
                         Sizes{1, 1, 257, 65, 128}}) {
    SCOPED_TRACE(testing::Message() << s.queries << ' ' << s.keys << ' '
                                    << s.head_dim);
    Inputs in = inputs(s, GetParam());
    expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
    in.options.scale = 0.4;
    expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
    in.options.scale = -0.2;
    expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
  }
}

TEST_P(QScaledDotProductTest, MasksOfEveryShape) {
  const Sizes s{2, 3, 7, 17, 24};
  Inputs in = inputs(s, GetParam());
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const std::vector<std::int64_t>& shape :
         std::vector<std::vector<std::int64_t>>{{7, 17},
                                                {1, 17},
                                                {7, 1},
                                                {1, 1},
                                                {2, 3, 7, 17},
                                                {2, 1, 7, 17},
                                                {1, 3, 1, 17},
                                                {2, 1, 1, 1}}) {
      in.options.attn_mask = torch::randn(shape).to(dtype);
      expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
    }
  }
  // Keys are columns of something wider, and transposed.
  in.options.attn_mask = torch::randn({17, 14}).t().slice(0, 0, 14, 2);
  expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
  in.options.attn_mask =
      torch::full({7, 17}, -kInfinity, at::kFloat).triu(1);
  expect_in_range(in, qscaled_dot_product(in.q, in.k, in.v, in.options));
}

TEST_P(QScaledDotProductTest, ReadsTensorsWhereverTheyLie) {
  const Sizes s{2, 3, 9, 21, 20};
  const Inputs in = inputs(s, GetParam());
  const at::Tensor expected =
      qscaled_dot_product(in.q, in.k, in.v, in.options);
  const auto bytes = [](const at::Tensor& x) { return x.view(at::kByte); };
  // [B, T, H, K] in memory; an odd address; every second element.
  const auto transposed = [](const at::Tensor& x) {
    return x.transpose(1, 2).contiguous().transpose(1, 2);
  };
  const auto odd = [&](const at::Tensor& x) {
    const at::Tensor room = torch::empty({x.numel() + 1}, at::kByte);
    const at::Tensor out = room.slice(0, 1).view(x.sizes());
    out.copy_(bytes(x));
    return out.view(x.scalar_type());
  };
  const auto sparse = [&](const at::Tensor& x) {
    const at::Tensor room =
        torch::stack({bytes(x), bytes(x).bitwise_not()}, -1);
    return room.view(x.scalar_type()).select(-1, 0);
  };
  const auto check = [&](const auto& change) {
    const at::Tensor out = qscaled_dot_product(
        change(in.q), change(in.k), change(in.v), in.options);
    EXPECT_TRUE(torch::equal(bytes(out.contiguous()),
                             bytes(expected.contiguous())));
    // As torchao's: heads beside each other.
    EXPECT_EQ(out.strides(), at::IntArrayRef({9 * 60, 20, 60, 1}));
  };
  check(transposed);
  check(odd);
  check(sparse);
}

TEST_P(QScaledDotProductTest, NothingToAttendTo) {
  for (const Sizes& s : {Sizes{0, 2, 3, 4, 8},
                         Sizes{1, 0, 3, 4, 8},
                         Sizes{1, 2, 0, 4, 8},
                         Sizes{1, 2, 3, 4, 0}}) {
    const Inputs in = inputs(s, GetParam());
    EXPECT_EQ(qscaled_dot_product(in.q, in.k, in.v, in.options).sizes(),
              in.q.sizes());
  }
  const Inputs in = inputs({1, 2, 3, 0, 8}, GetParam());
  const at::Tensor out = qscaled_dot_product(in.q, in.k, in.v, in.options);
  EXPECT_TRUE((out.to(at::kFloat) == in.options.o_zp).all().item<bool>());
}

// Codes 0, or NaN (of any sign) where there is one: what torchao's sequence
// gives on x86.
TEST_P(QScaledDotProductTest, ARowWhoseSoftmaxIsNaN) {
  const bool is_byte = GetParam() == at::kByte;
  Inputs in = inputs({1, 2, 5, 20, 16}, GetParam());
  at::Tensor mask = torch::zeros({5, 20});
  in.options.attn_mask = mask;
  const at::Tensor clean = qscaled_dot_product(in.q, in.k, in.v, in.options);
  mask = mask.clone();
  mask[1].fill_(-kInfinity);
  mask[3][19] = NAN;
  in.options.attn_mask = mask;
  for (const at::Tensor& out :
       {qscaled_dot_product(in.q, in.k, in.v, in.options),
        qscaled_dot_product_by_aten(in.q, in.k, in.v, in.options)}) {
    for (const std::int64_t i : {1, 3}) {
      const at::Tensor row = out.select(2, i).to(at::kFloat);
      EXPECT_TRUE((is_byte ? row == 0 : row.isnan()).all().item<bool>()) << i;
    }
  }
  const at::Tensor out = qscaled_dot_product(in.q, in.k, in.v, in.options);
  for (const std::int64_t i : {0, 2, 4}) {
    EXPECT_TRUE(torch::equal(out.select(2, i).to(at::kFloat),
                             clean.select(2, i).to(at::kFloat)))
        << i;
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes,
                         QScaledDotProductTest,
                         ::testing::Values(at::kByte, at::kFloat8_e4m3fn));

TEST(QScaledDotProduct, ThreadsDoNotChangeABit) {
  torch::manual_seed(22);
  const Inputs in = inputs({2, 3, 130, 100, 48}, at::kByte);
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = qscaled_dot_product(in.q, in.k, in.v, in.options);
  for (const int threads : {2, 3, 7}) {
    at::set_num_threads(threads);
    EXPECT_TRUE(torch::equal(
        qscaled_dot_product(in.q, in.k, in.v, in.options), one))
        << threads;
  }
  at::set_num_threads(before);
}

TEST(QScaledDotProduct, IsAnOperatorOfTheDispatcher) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(
      "mantissa::qscaled_dot_product", "");
  const Inputs in = inputs({1, 2, 5, 7, 16}, at::kByte);
  const auto call = [&](c10::Device device) {
    const QScaledDotProductOptions& o = in.options;
    torch::jit::Stack stack = {in.q.to(device), in.k.to(device),
                               in.v.to(device), c10::IValue(),
                               0.0,             false,
                               c10::IValue(),   o.q_scale,
                               o.q_zp,          o.k_scale,
                               o.k_zp,          o.v_scale,
                               o.v_zp,          o.a_scale,
                               o.a_zp,          o.o_scale,
                               o.o_zp};
    op.callBoxed(&stack);
    return stack[0].toTensor();
  };
  const at::Tensor out = call(at::kCPU);
  EXPECT_TRUE(torch::equal(
      out, qscaled_dot_product(in.q, in.k, in.v, in.options)));
  const at::Tensor meta = call(at::kMeta);
  EXPECT_TRUE(meta.is_meta());
  EXPECT_EQ(meta.sizes(), out.sizes());
  EXPECT_EQ(meta.strides(), out.strides());
}

class QScaledDotProductRefusal : public ::testing::Test {
 protected:
  std::string message() const {
    return refusal([&] { qscaled_dot_product(in.q, in.k, in.v, in.options); });
  }
  Inputs in = inputs({1, 2, 5, 7, 16}, at::kByte);
};

TEST_F(QScaledDotProductRefusal, Tensors) {
  const Inputs good = in;
  in.q = good.q.to(at::kChar);
  EXPECT_THAT(message(),
              HasSubstr("qscaled_dot_product: query: expected [Byte, "
                        "Float8_e4m3fn], got Char"));
  in.q = good.q[0];
  EXPECT_THAT(message(),
              HasSubstr("query: expected [batch, heads, length, head_dim], got "
                        "[2, 5, 16]"));
  in.q = good.q;
  in.k = good.k.to(at::kFloat8_e4m3fn);
  EXPECT_THAT(message(), HasSubstr("key: expected [Byte], got Float8_e4m3fn"));
  in.k = good.k.slice(1, 0, 1);
  EXPECT_THAT(message(),
              HasSubstr("key: expected 2 heads (= heads of query), got [1, 1, "
                        "7, 16]; grouped heads: use key.repeat_interleave("));
  in.k = good.k.slice(3, 0, 8);
  EXPECT_THAT(message(),
              HasSubstr("key: expected [1, 2, 7, 16], got [1, 2, 7, 8] Byte"));
  in.k = good.k;
  in.v = good.v.slice(2, 0, 6);
  EXPECT_THAT(
      message(),
      HasSubstr("value: expected [1, 2, 7, 16], got [1, 2, 6, 16] Byte"));
  in.v = good.v.to(at::kMeta);
  EXPECT_THAT(message(),
              HasSubstr("value: expected the device of query, cpu, got meta"));
}

TEST_F(QScaledDotProductRefusal, Masks) {
  in.options.attn_mask = torch::ones({5, 7}, at::kBool);
  EXPECT_THAT(message(),
              HasSubstr("attn_mask: expected [Float, BFloat16], got Bool"));
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{
           {7}, {2, 5, 7}, {5, 6}, {4, 7}, {1, 3, 5, 7}, {1, 1, 1, 5, 7}}) {
    in.options.attn_mask = torch::zeros(shape);
    EXPECT_THAT(message(),
                HasSubstr("attn_mask: expected rank 2 or 4, each dimension that "
                          "of the scores [1, 2, 5, 7] or 1, got ["));
  }
  in.options.attn_mask = torch::zeros({5, 7}, at::kMeta);
  EXPECT_THAT(
      message(),
      HasSubstr("attn_mask: expected the device of query, cpu, got meta"));
}

TEST_F(QScaledDotProductRefusal, Options) {
  const auto with = [&](const auto& change) {
    in.options = inputs({1, 2, 5, 7, 16}, at::kByte).options;
    change(in.options);
    return message();
  };
  using O = QScaledDotProductOptions;
  EXPECT_THAT(with([](O& o) { o.dropout_p = 0.1; }),
              HasSubstr("dropout_p: expected 0, got 0.1"));
  EXPECT_THAT(with([](O& o) { o.is_causal = true; }),
              HasSubstr("is_causal: expected false; use an attn_mask"));
  EXPECT_THAT(with([](O& o) { o.scale = kInfinity; }),
              HasSubstr("scale: expected a finite number, got inf"));
  double O::* const scales[] = {&O::q_scale, &O::k_scale, &O::v_scale,
                                &O::a_scale, &O::o_scale};
  for (double O::* const scale : scales) {
    for (const double bad : {0.0, -1.0, 1e-39, 1e39, kInfinity, std::nan("")}) {
      EXPECT_THAT(
          with([&](O& o) { o.*scale = bad; }),
          HasSubstr("_scale: expected a number above 0 that float32 holds"));
    }
  }
  std::int64_t O::* const zeros[] = {
      &O::q_zp, &O::k_zp, &O::v_zp, &O::a_zp, &O::o_zp};
  for (std::int64_t O::* const zero : zeros) {
    for (const std::int64_t bad : {-1, 256}) {
      EXPECT_THAT(with([&](O& o) { o.*zero = bad; }),
                  HasSubstr("_zp: expected 0 to 255 with uint8, got "));
    }
  }
  EXPECT_THAT(with([](O& o) { o.q_scale = o.k_scale = 1e18; }),
              HasSubstr("q_scale * k_scale * scale: expected scores that "
                        "float32 holds, got up to "));
  in = inputs({1, 2, 5, 7, 16}, at::kFloat8_e4m3fn);
  in.options.a_zp = 1;
  EXPECT_THAT(message(),
              HasSubstr("a_zp: expected 0 with float8_e4m3fn, got 1"));
}

TEST_F(QScaledDotProductRefusal, KindsOfErrors) {
  const auto call = [&] {
    qscaled_dot_product(in.q, in.k, in.v, in.options);
  };
  in.options.is_causal = true;
  EXPECT_THROW(call(), c10::NotImplementedError);
  in.options.is_causal = false;
  in.options.a_scale = 0;
  EXPECT_THROW(call(), c10::ValueError);
  in.q = in.q.to(at::kInt);
  EXPECT_THROW(call(), c10::TypeError);
}

}  // namespace
}  // namespace mantissa
