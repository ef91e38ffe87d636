#include <mantissa/torch/quantized_tensor.h>

#include <atomic>
#include <cmath>
#include <cstring>

#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/configs.h>
#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/configs/registry.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/torch/quantize.h>

#include "torch/refusal.h"
#include "torch/tensor/weights.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::Int8Weight;
using tests::refusal;

class QuantizedTensorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(1);
    reset_fallback_counts();
  }
  void TearDown() override {
    EXPECT_THAT(fallback_counts(), ::testing::IsEmpty())
        << "every operator here has a rule";
  }
};

TEST_F(QuantizedTensorTest, LooksLikeTheWeightAndHoldsItsCodes) {
  const Int8Weight w({6, 8}, c10::kBFloat16);
  EXPECT_EQ(w.quantized.sizes(), w.plain.sizes());
  EXPECT_EQ(w.quantized.strides(), w.plain.strides());
  EXPECT_EQ(w.quantized.scalar_type(), c10::kBFloat16);
  EXPECT_TRUE(is_quantized_tensor(w.quantized));
  EXPECT_FALSE(is_quantized_tensor(w.plain));
  EXPECT_FALSE(w.quantized.requires_grad());
  const auto fields = fields_of(w.quantized);
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields[0].scalar_type(), c10::kChar);
  // By hand: scale times code.
  const at::Tensor by_hand =
      (fields[0].to(c10::kFloat) * fields[1]).to(c10::kBFloat16);
  EXPECT_TRUE(torch::equal(w.values, by_hand));
}

TEST_F(QuantizedTensorTest, AnEmbeddingDecodesTheRowsThatAreAskedFor) {
  const at::Tensor plain = torch::randn({64, 1024}).to(c10::kBFloat16);
  const at::Tensor few = torch::tensor({{3, 63}, {0, 3}});
  for (const char* words :
       {"int8_weight_only",
        "int8_weight_only:granularity=per_tensor",
        "int4_weight_only:group_size=32",
        "int4_weight_only:group_size=32,int4_packing_format=tile_packed_to_4d",
        "intx_weight_only:weight_dtype=int4,granularity=per_group(32)",
        "float8_weight_only"}) {
    const auto choice =
        parse_config_words(words)->choose({64, 1024}, DType::BFloat16);
    ASSERT_NE(choice.encoding, nullptr) << words << choice.refusal;
    const at::Tensor w = to_quantized_tensor(plain, choice.encoding);
    const at::Tensor values = mantissa::dequantize(w);
    EXPECT_TRUE(
        torch::equal(torch::embedding(w, few), torch::embedding(values, few)))
        << words;
    const at::Tensor many = torch::arange(64);
    EXPECT_TRUE(torch::equal(torch::embedding(w, many), values)) << words;
  }
  const Int8Weight w({6, 8});
  EXPECT_THAT(refusal([&] { torch::embedding(w.quantized, few); }),
              HasSubstr("index 63 is outside a quantized weight of [6, 8]"));
}

TEST_F(QuantizedTensorTest, DescribesItself) {
  const Int8Weight w({64, 128}, c10::kBFloat16);
  EXPECT_EQ(describe(w.quantized),
            "Int8Tensor [64, 128] bfloat16, 8.31 bits a weight: qdata int8 "
            "[64, 128], scale float32 [64, 1], zero_point int8 [64, 1]");
  EXPECT_THAT(describe(w.quantized.t()), HasSubstr("(transposed)"));
}

TEST_F(QuantizedTensorTest, ProductsAreThoseOfTheDequantizedWeight) {
  const Int8Weight w({6, 8});
  const at::Tensor x = torch::randn({4, 8});
  const at::Tensor bias = torch::randn({6});
  const at::Tensor& v = w.values;
  EXPECT_TRUE(torch::allclose(at::linear(x, w.quantized, bias),
                              at::linear(x, v, bias)));
  EXPECT_TRUE(
      torch::allclose(mantissa::linear(x, w.quantized), at::linear(x, v)));
  EXPECT_TRUE(torch::allclose(x.mm(w.quantized.t()), x.mm(v.t())));
  EXPECT_TRUE(torch::allclose(x.matmul(w.quantized.mT()), x.mm(v.t())));
  EXPECT_TRUE(torch::allclose(at::addmm(bias, x, w.quantized.t()),
                              at::linear(x, v, bias)));
  EXPECT_TRUE(torch::allclose(w.quantized.mv(x[0]), v.mv(x[0])));
  EXPECT_TRUE(torch::allclose(w.quantized.mm(x.t()), v.mm(x.t())));
  const at::Tensor batch = torch::randn({2, 3, 8});
  EXPECT_TRUE(torch::allclose(at::linear(batch, w.quantized, bias),
                              at::linear(batch, v, bias)));
  EXPECT_TRUE(torch::allclose(torch::randn({0, 8}).matmul(w.quantized.t()),
                              torch::empty({0, 6})));
  // The other orientation: [.., 6] times [6, 8].
  const at::Tensor y = torch::randn({4, 6});
  EXPECT_TRUE(torch::allclose(y.mm(w.quantized), y.mm(v)));
}

TEST_F(QuantizedTensorTest, ShapesAreChecked) {
  const Int8Weight w({6, 8});
  EXPECT_THAT(refusal([&] {
                at::linear(torch::randn({4, 7}), w.quantized);
              }),
              HasSubstr("expected last dim 8"));
}

TEST_F(QuantizedTensorTest, GradientsReachTheInputAndTheBias) {
  for (const Shape& shape : {Shape{4, 8}, Shape{2, 3, 8}}) {
    const Int8Weight w({6, 8});
    const at::Tensor x = torch::randn(shape).requires_grad_();
    const at::Tensor bias = torch::randn({6}).requires_grad_();
    const at::Tensor y = at::linear(x, w.quantized, bias);
    EXPECT_EQ(y.grad_fn()->name(), "MantissaLinearBackward");
    const at::Tensor g = torch::randn_like(y);
    const auto ours = torch::autograd::grad({y}, {x, bias}, {g});
    const at::Tensor plain = at::linear(x, w.values, bias);
    const auto theirs = torch::autograd::grad({plain}, {x, bias}, {g});
    EXPECT_TRUE(torch::allclose(ours[0], theirs[0], 1e-5, 1e-6));
    EXPECT_TRUE(torch::allclose(ours[1], theirs[1]));
  }
}

TEST_F(QuantizedTensorTest, InferenceModeAndNoGradRunWithoutHistory) {
  const Int8Weight w({6, 8});
  const at::Tensor x = torch::randn({4, 8}).requires_grad_();
  {
    const torch::NoGradGuard no_grad;
    EXPECT_FALSE(at::linear(x, w.quantized).requires_grad());
  }
  const c10::InferenceMode inference;
  EXPECT_TRUE(at::linear(x, w.quantized).is_inference());
  EXPECT_TRUE(torch::allclose(x.mm(w.quantized.t()), x.mm(w.values.t())));
}

TEST_F(QuantizedTensorTest, AnInferenceWeightThatWantsAGradientIsRefused) {
  const Int8Weight w({6, 8});
  const at::Tensor wants = w.quantized.detach().requires_grad_();
  EXPECT_THAT(refusal([&] {
                at::linear(torch::randn({4, 8}), wants);
              }),
              HasSubstr("has no gradient"));
}

TEST_F(QuantizedTensorTest, SecondDerivativesAreRefusedByName) {
  const Int8Weight w({6, 8});
  const at::Tensor x = torch::randn({4, 8}).requires_grad_();
  const at::Tensor y = at::linear(x, w.quantized).pow(2).sum();
  EXPECT_THAT(refusal([&] {
                torch::autograd::grad({y}, {x}, {}, true, /*create=*/true);
              }),
              HasSubstr("no second derivative"));
}

TEST_F(QuantizedTensorTest, ViewsKeepTheirScales) {
  const Int8Weight w({6, 8});
  const at::Tensor rows = w.quantized.slice(0, 2, 5);
  EXPECT_TRUE(is_quantized_tensor(rows));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(rows), w.values.slice(0, 2, 5)));
  const auto parts = w.quantized.split(4, 0);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(parts[1]), w.values.slice(0, 4, 6)));
  const auto chunks = w.quantized.chunk(3, 0);
  ASSERT_EQ(chunks.size(), 3u);
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(chunks[2]), w.values.slice(0, 4, 6)));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(w.quantized.t()), w.values.t()));
  EXPECT_TRUE(torch::equal(mantissa::dequantize(w.quantized.t().slice(1, 1, 3)),
                           w.values.t().slice(1, 1, 3)));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(w.quantized.view({6, 8})), w.values));
  EXPECT_TRUE(is_quantized_tensor(w.quantized.detach()));
}

TEST_F(QuantizedTensorTest, WhatItCannotDoSaysWhy) {
  const Int8Weight w({6, 8});
  EXPECT_THAT(refusal([&] { w.quantized.view({48}); }),
              HasSubstr("keeps its shape"));
  EXPECT_THAT(refusal([&] { w.quantized.slice(0, 0, 6, 2); }),
              HasSubstr("step 1"));
  EXPECT_THAT(refusal([&] { w.quantized.select(0, 1); }),
              HasSubstr("experts [E, N, K]"));
  EXPECT_THAT(refusal([&] { w.quantized.data_ptr(); }),
              HasSubstr("mantissa::dequantize"));
  EXPECT_THAT(refusal([&] { w.quantized.to(c10::kInt); }),
              HasSubstr("floating dtype"));
  EXPECT_THAT(refusal([&] {
                const torch::NoGradGuard no_grad;
                w.quantized.copy_(w.plain);
              }),
              HasSubstr("to_quantized_tensor"));
}

TEST_F(QuantizedTensorTest, ExpertsAreSelectedAndMultipliedInGroups) {
  const Int8Weight w({3, 16, 32});
  EXPECT_TRUE(torch::equal(mantissa::dequantize(w.quantized.select(0, 1)),
                           w.values[1]));
  EXPECT_TRUE(torch::equal(mantissa::dequantize(w.quantized[-1]), w.values[2]));
  const at::Tensor x = torch::randn({8, 32});
  const at::Tensor offs = torch::tensor({2, 2, 7}, c10::kInt);
  const at::Tensor y = at::_grouped_mm(x, w.quantized.transpose(-2, -1), offs);
  EXPECT_TRUE(torch::allclose(
      y.slice(0, 0, 2), x.slice(0, 0, 2).mm(w.values[0].t()), 1e-5, 1e-5));
  EXPECT_TRUE(torch::allclose(
      y.slice(0, 2, 7), x.slice(0, 2, 7).mm(w.values[2].t()), 1e-5, 1e-5));
  EXPECT_TRUE(torch::equal(y[7], torch::zeros({16})));
  const at::Tensor batch = torch::randn({3, 5, 32});
  EXPECT_TRUE(torch::allclose(at::bmm(batch, w.quantized.transpose(1, 2)),
                              at::bmm(batch, w.values.transpose(1, 2)),
                              1e-5,
                              1e-5));
  EXPECT_THAT(refusal([&] {
                at::_grouped_mm(x,
                                w.quantized.transpose(-2, -1),
                                torch::tensor({2, 1, 8}, c10::kInt));
              }),
              HasSubstr("rising offsets"));
}

// As torchao does: in bfloat16 the product with codes, the scales and their
// product are rounded, 2^-8 of the exact result each.
TEST_F(QuantizedTensorTest, ExpertsInBfloat16AreRoundedThreeTimes) {
  const std::int64_t k = 256;
  const Int8Weight w({3, 48, k}, c10::kBFloat16);
  const at::Tensor x = torch::randn({60, k}).to(c10::kBFloat16);
  const at::Tensor y = at::_grouped_mm(x,
                                       w.quantized.transpose(-2, -1),
                                       torch::tensor({20, 21, 60}, c10::kInt))
                           .to(c10::kDouble);
  const auto fields = fields_of(w.quantized);
  const at::Tensor exact =
      fields[0].to(c10::kDouble) * fields[1].to(c10::kDouble);
  const double three = std::pow(1 + 0x1p-8, 3) - 1;
  const std::int64_t ends[] = {0, 20, 21, 60};
  for (std::int64_t e = 0; e < 3; ++e) {
    const at::Tensor rows = x.slice(0, ends[e], ends[e + 1]).to(c10::kDouble);
    const at::Tensor truth = rows.mm(exact[e].t());
    const at::Tensor terms = rows.abs().mm(exact[e].abs().t());
    const at::Tensor error = (y.slice(0, ends[e], ends[e + 1]) - truth).abs();
    const at::Tensor bound =
        truth.abs() * three + terms * (2 * k * 0x1p-24 * (1 + three));
    EXPECT_TRUE((error <= bound).all().item<bool>())
        << (error / bound).max() << (error / truth.abs()).max();
  }
}

TEST_F(QuantizedTensorTest, AutocastAndDtypes) {
  const Int8Weight w({6, 8});
  const at::Tensor half = w.quantized.to(c10::kBFloat16);
  EXPECT_TRUE(is_quantized_tensor(half));
  EXPECT_TRUE(
      torch::equal(mantissa::dequantize(half), w.values.to(c10::kBFloat16)));
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, c10::kBFloat16);
  const at::Tensor y = at::linear(torch::randn({4, 8}), w.quantized);
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_EQ(y.scalar_type(), c10::kBFloat16);
}

TEST_F(QuantizedTensorTest, MadeInInferenceModeItFollowsItsRulesToo) {
  const at::Tensor plain = torch::randn({6, 8});
  const auto how = parse_config_words("int8_dynamic_activation_int8_weight")
                       ->choose({6, 8}, DType::Float32)
                       .encoding;
  const at::Tensor x = 10 * torch::randn({2, 3, 8});
  const at::Tensor expected = at::linear(x, to_quantized_tensor(plain, how));
  const c10::InferenceMode inference;
  const at::Tensor w = to_quantized_tensor(plain, how);
  EXPECT_TRUE(is_quantized_tensor(w.t()));
  EXPECT_TRUE(is_quantized_tensor(w.to(c10::kFloat).to(at::kCPU)));
  EXPECT_TRUE(is_quantized_tensor(w.to(c10::kBFloat16)));
  EXPECT_TRUE(torch::equal(at::linear(x, w), expected));
  EXPECT_TRUE(torch::equal(at::matmul(x, w.t()), expected));
  torch::nn::Linear linear(torch::nn::LinearOptions(8, 6).bias(false));
  replace_parameter(*linear, linear->weight, w);
  EXPECT_TRUE(torch::equal(linear(x), expected));
}

TEST_F(QuantizedTensorTest, CopiesItsOwnKindOnly) {
  const Int8Weight a({6, 8});
  const Int8Weight b({6, 8});
  const torch::NoGradGuard no_grad;
  at::Tensor target = a.quantized.clone();
  target.copy_(b.quantized);
  EXPECT_TRUE(torch::equal(mantissa::dequantize(target), b.values));
  EXPECT_TRUE(torch::equal(mantissa::dequantize(a.quantized), a.values))
      << "clone() has its own fields";
  at::Tensor plain = torch::zeros({6, 8});
  plain.copy_(b.quantized);
  EXPECT_TRUE(torch::equal(plain, b.values));
}

TEST(QuantizedTensorFallback, DequantizesAndCounts) {
  const Int8Weight w({6, 8});
  reset_fallback_counts();
  EXPECT_TRUE(torch::equal(w.quantized * 2, w.values * 2));
  EXPECT_TRUE(torch::equal(at::cat({w.quantized, w.quantized}),
                           at::cat({w.values, w.values})));
  const auto counts = fallback_counts();
  EXPECT_EQ(counts,
            (std::map<std::string, std::int64_t>{{"aten::mul.Scalar", 1},
                                                 {"aten::cat", 1}}));
  const torch::NoGradGuard no_grad;
  EXPECT_THAT(refusal([&] { w.quantized.mul_(2); }),
              HasSubstr("cannot be written to"));
  EXPECT_THAT(refusal([&] { at::_foreach_mul_({w.quantized}, 2.0); }),
              HasSubstr("cannot be written to"));
  reset_fallback_counts();
}

// The tool encodes with the same function, block by block.
TEST(QuantizedTensorFields, AreTheBytesOfTheCoreHalf) {
  const at::Tensor w = torch::randn({48, 64}).to(c10::kBFloat16);
  const auto encoding =
      make_int4_encoding({48, 64}, DType::BFloat16, {.group_size = 32});
  const EncodedTensor core =
      encode(encoding,
             {DType::BFloat16,
              {48, 64},
              static_cast<const std::byte*>(w.const_data_ptr())});
  const auto fields = fields_of(to_quantized_tensor(w, encoding));
  ASSERT_EQ(fields.size(), core.fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    ASSERT_EQ(static_cast<std::int64_t>(fields[i].nbytes()),
              core.fields[i].nbytes());
    EXPECT_EQ(std::memcmp(fields[i].const_data_ptr(),
                          core.fields[i].data(),
                          fields[i].nbytes()),
              0)
        << i;
  }
}

TEST(QuantizedTensorFields, AreCheckedByName) {
  const Int8Weight w({6, 8});
  auto fields = fields_of(w.quantized);
  const auto encoding = encoding_of(w.quantized);
  EXPECT_THAT(refusal([&] { make_quantized_tensor(encoding, {fields[0]}); }),
              HasSubstr("expected 3 fields, got 1"));
  fields[1] = fields[1].to(c10::kBFloat16);
  EXPECT_THAT(refusal([&] { make_quantized_tensor(encoding, fields); }),
              HasSubstr("scale: expected contiguous float32 [6, 1]"));
  EXPECT_THAT(refusal([&] {
                to_quantized_tensor(torch::randn({5, 8}), encoding);
              }),
              HasSubstr("expected [6, 8]"));
  EXPECT_THAT(refusal([&] {
                to_quantized_tensor(torch::full({6, 8}, NAN), encoding);
              }),
              HasSubstr("NaN or infinite"));
}

// A weight [256, 128] in every stored format.
std::vector<std::shared_ptr<const Encoding>> all_encodings() {
  const Shape shape = {256, 128};
  const DType dtype = DType::BFloat16;
  return {make_int8_encoding(shape, dtype, {}),
          make_int4_encoding(shape, dtype, {.group_size = 32}),
          make_int4_tile_packed_encoding(shape, dtype, {.group_size = 32}),
          IntxWeightOnlyConfig{
              {.weight_dtype = DType::Int4, .granularity = PerGroup{32}}}
              .choose(shape, dtype)
              .encoding,
          make_float8_encoding(shape, dtype, {}),
          make_nf4_encoding(shape, dtype, {}),
          with_scheme_group_size(parse_compressed_scheme("W4A16"), 32)
              ->choose(shape, dtype)
              .encoding};
}

TEST(QuantizedTensorFormats, EveryFormatMultiplies) {
  torch::manual_seed(2);
  const at::Tensor w = torch::randn({256, 128}).to(c10::kBFloat16);
  const at::Tensor x = torch::randn({3, 128}).to(c10::kBFloat16);
  for (const auto& encoding : all_encodings()) {
    ASSERT_NE(encoding, nullptr);
    SCOPED_TRACE(encoding->format_name());
    const at::Tensor q = to_quantized_tensor(w, encoding);
    const at::Tensor values = mantissa::dequantize(q);
    // torchao scales an Int8Tensor's rows after the product.
    const bool by_rows = encoding->format_name() == "Int8Tensor";
    const at::Tensor expected =
        by_rows ? x.mm(fields_of(q)[0].t().to(c10::kBFloat16)) *
                      fields_of(q)[1].flatten().to(c10::kBFloat16)
                : at::linear(x, values);
    EXPECT_TRUE(torch::equal(at::linear(x, q), expected));
    EXPECT_TRUE(torch::equal(mantissa::dequantize(q.slice(0, 128, 256)),
                             values.slice(0, 128, 256)));
    const at::Tensor noise = w.to(c10::kFloat) - values.to(c10::kFloat);
    EXPECT_LT(noise.norm().item<double>(),
              0.2 * w.to(c10::kFloat).norm().item<double>());
  }
}

}  // namespace
}  // namespace mantissa
