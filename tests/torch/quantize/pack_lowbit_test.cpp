#include <mantissa/torch/lowbit.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/formats/registry.h>
#include <mantissa/torch/quantized_tensor.h>

#include "formats/lowbit_weight.h"
#include "torch/models/linear_layers.h"
#include "torch/quantize/linear_of.h"
#include "torch/quantize/lowbit_encodings.h"
#include "torch/quantize/module_parameters.h"
#include "torch/tensor/host_tensors.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;
using tests::all_encodings;
using tests::encodings;
using tests::float8_encodings;
using tests::linear_of;
using tests::NamedEncoding;

bool has_offsets(const at::Tensor& w) {
  const auto fields = fields_of(w);
  return fields.size() > 2 && fields[2].dim() == 2 &&
         fields[2].is_floating_point();
}

// The scale of every element, or another field that lies as it does.
at::Tensor scales_of(const at::Tensor& w, std::size_t field = 1) {
  at::Tensor scale = fields_of(w)[field].to(at::kDouble);
  // Int4Tensor has groups as rows.
  if (has_offsets(w)) scale = scale.t();
  scale = scale.reshape({-1, scale.dim() == 1 ? 1 : scale.size(-1)});
  return scale.repeat_interleave(w.size(0) / scale.size(0), 0)
      .repeat_interleave(w.size(1) / scale.size(1), 1);
}

// A weight of this encoding as a file may hold it.
at::Tensor with_act_pre_scale(const std::shared_ptr<const Encoding>& encoding) {
  const Shape& shape = encoding->shape();
  const auto dtype =
      encoding->dtype() == DType::Float32 ? at::kFloat : at::kBFloat16;
  std::vector<FieldLayout> layouts = encoding->fields();
  layouts.push_back({"act_pre_scale", encoding->dtype(), {shape[1]}});
  auto fields =
      fields_of(to_quantized_tensor(torch::randn(shape).to(dtype), encoding));
  fields.push_back(torch::ones({shape[1]}, dtype));
  return make_quantized_tensor(
      find_format(encoding->format_name())
          ->parse(encoding->attributes_json(), layouts),
      fields);
}

TEST(PackLowbitTest, StoredFieldsComeBackBitForBit) {
  torch::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const DType ours = dtype == at::kFloat ? DType::Float32 : DType::BFloat16;
    for (const NamedEncoding& each : all_encodings(ours)) {
      const at::Tensor w =
          to_quantized_tensor(torch::randn({48, 192}).to(dtype), each.encoding);
      const auto linear = linear_of(w);
      const auto report = pack_lowbit_(*linear, Int8Compute::Group32);
      ASSERT_EQ(report.size(), 1u) << each.name;
      ASSERT_EQ(report[0].refusal, "") << each.name;
      EXPECT_LE(report[0].bytes, LowbitWeight::most_bytes(*each.encoding));
      const at::Tensor packed = linear->weight;
      EXPECT_THAT(describe(packed), HasSubstr("packed"));
      const auto before = fields_of(w);
      const auto after = fields_of(packed);
      ASSERT_EQ(before.size(), after.size());
      for (std::size_t i = 0; i < before.size(); ++i) {
        EXPECT_TRUE(
            torch::equal(before[i].view(at::kByte), after[i].view(at::kByte)))
            << each.name << " field " << i;
      }
      EXPECT_TRUE(
          torch::equal(mantissa::dequantize(w), mantissa::dequantize(packed)));
      EXPECT_TRUE(torch::equal(mantissa::dequantize(w.slice(0, 8, 24)),
                               mantissa::dequantize(packed.slice(0, 8, 24))));
      EXPECT_TRUE(torch::equal(mantissa::dequantize(w),
                               mantissa::dequantize(packed.clone())));
      EXPECT_THAT(describe(packed.clone()), HasSubstr("packed"));
      EXPECT_THAT(describe(packed.to(at::kHalf)), HasSubstr("packed"));
      EXPECT_THAT(describe(packed.slice(0, 0, 48)), HasSubstr("packed"));
      EXPECT_TRUE(torch::equal(mantissa::dequantize(w.t()),
                               mantissa::dequantize(packed.t())));
      const at::Tensor rows = torch::tensor({0, 47, 3});
      EXPECT_TRUE(torch::equal(torch::embedding(w, rows),
                               torch::embedding(packed, rows)))
          << each.name;
    }
  }
}

// The product of the values of weight and activations, each of which is at most
// half a step away from what it stands for.
TEST(PackLowbitTest, ProductsAreThoseOfTheQuantizedActivations) {
  torch::manual_seed(2);
  for (const NamedEncoding& each : encodings(DType::Float32)) {
    const at::Tensor w =
        to_quantized_tensor(torch::randn({48, 192}), each.encoding);
    const at::Tensor values = mantissa::dequantize(w).to(at::kDouble);
    for (const auto compute :
         {Int8Compute::Token, Int8Compute::Group32, Int8Compute::Group64}) {
      const auto linear = linear_of(w);
      pack_lowbit_(*linear, compute);
      for (const std::int64_t m : {1, 2, 4, 7, 40}) {
        const at::Tensor x = torch::randn({m, 192});
        const std::int64_t group = compute == Int8Compute::Token     ? 192
                                   : compute == Int8Compute::Group32 ? 32
                                                                     : 64;
        const at::Tensor parts = x.view({m, 192 / group, group});
        const at::Tensor step =
            compute == Int8Compute::Token
                ? (parts.amax(-1).clamp_min(0) - parts.amin(-1).clamp_max(0)) /
                      255
                : parts.abs().amax(-1) / 127;
        const at::Tensor half = step.unsqueeze(-1)
                                    .expand({m, 192 / group, group})
                                    .reshape({m, 192})
                                    .to(at::kDouble) *
                                0.502;
        const at::Tensor expected =
            x.to(at::kDouble).mm(values.t()) + linear->bias.to(at::kDouble);
        const at::Tensor bound = half.mm(values.abs().t()) + 1e-4;
        const at::Tensor y = linear->forward(x).to(at::kDouble);
        EXPECT_TRUE(((y - expected).abs() <= bound).all().item<bool>())
            << each.name << " m " << m << " compute "
            << static_cast<int>(compute) << ": "
            << ((y - expected).abs() / bound).max().item<double>();
        // Not the product of the values either: activations are rounded.
        EXPECT_FALSE(torch::allclose(y, expected, 1e-6, 1e-6));
      }
    }
  }
}

// Activations stay floats: the product of the values, within the rounding of
// 192 fmas and of what leaves in x's dtype; for bfloat16 of sums of codes plus
// up to 3 * 256.
TEST(PackLowbitTest, FloatProductsAreThoseOfTheValues) {
  torch::manual_seed(7);
  for (const NamedEncoding& each : all_encodings(DType::Float32)) {
    const at::Tensor w =
        to_quantized_tensor(torch::randn({48, 192}), each.encoding);
    const at::Tensor values = mantissa::dequantize(w).to(at::kDouble);
    // What 3 * 256 more codes amount to, and the offset.
    at::Tensor shifts = scales_of(w).abs() * (3 * 256);
    if (has_offsets(w)) shifts = shifts + scales_of(w, 2).abs();
    const auto linear = linear_of(w);
    ASSERT_EQ(pack_lowbit_(*linear, Int8Compute::Float)[0].refusal, "");
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const std::int64_t m : {1, 2, 4, 7, 40}) {
        const at::Tensor x = torch::randn({m, 192}).to(dtype);
        const at::Tensor wide = x.to(at::kDouble);
        const at::Tensor bias = linear->bias.to(at::kDouble);
        const at::Tensor expected = wide.mm(values.t()) + bias;
        at::Tensor terms = wide.abs().mm(values.abs().t()) + bias.abs();
        if (dtype == at::kBFloat16) {
          terms = terms + wide.abs().mm(shifts.t());
        }
        const double out = dtype == at::kFloat  ? 0.0
                           : dtype == at::kHalf ? 0x1p-11
                                                : 0x1p-8;
        const at::Tensor bound =
            terms * (194 * 0x1p-24) * (1 + out) + expected.abs() * out;
        const at::Tensor y = linear->forward(x);
        EXPECT_EQ(y.scalar_type(), dtype);
        EXPECT_TRUE(
            ((y.to(at::kDouble) - expected).abs() <= bound).all().item<bool>())
            << each.name << " m " << m << " dtype " << dtype;
      }
    }
  }
}

// The products with a unit matrix are the values, to the bit of the rounding.
TEST(PackLowbitTest, OffsetsGiveTheValuesThatTheFormatDecodes) {
  torch::manual_seed(12);
  for (const auto& [dtype, ours] : {std::pair{at::kFloat, DType::Float32},
                                    std::pair{at::kBFloat16, DType::BFloat16},
                                    std::pair{at::kHalf, DType::Float16}}) {
    for (const std::int64_t group : {32, 64, 192}) {
      // Some groups with a zero point that is small beside the scale.
      at::Tensor values = torch::randn({480, 192});
      values.narrow(0, 0, 200).clamp_(-8.0 / 15, 7.0 / 15);
      const at::Tensor w = to_quantized_tensor(
          values.to(dtype),
          make_int4_encoding({480, 192}, ours, {.group_size = group}));
      const auto linear = linear_of(w.to(at::kFloat));
      torch::nn::init::zeros_(linear->bias);
      ASSERT_EQ(pack_lowbit_(*linear, Int8Compute::Float)[0].refusal, "");
      const at::Tensor unit = torch::eye(192);
      const at::Tensor decoded = mantissa::dequantize(w).to(at::kFloat);
      EXPECT_TRUE(torch::equal(linear->forward(unit), decoded.t()));
      EXPECT_TRUE(torch::equal(linear->forward(unit.narrow(0, 7, 1)),
                               decoded.narrow(1, 7, 1).t()));
      const at::Tensor rows = torch::arange(480);
      EXPECT_TRUE(
          torch::equal(torch::embedding(linear->weight, rows), decoded));
    }
  }
}

// The same of tiles, whose rows and columns are padded.
TEST(PackLowbitTest, TilesGiveTheValuesThatTheFormatDecodes) {
  torch::manual_seed(13);
  for (const auto algorithm : {Int4ChooseQParamsAlgorithm::Tinygemm,
                               Int4ChooseQParamsAlgorithm::Hqq}) {
    for (const std::int64_t group : {32, 64}) {
      at::Tensor values = torch::randn({45, 192});
      values.narrow(0, 0, 20).clamp_(-8.0 / 15, 7.0 / 15);
      const at::Tensor w = to_quantized_tensor(
          values.to(at::kBFloat16),
          make_int4_tile_packed_encoding(
              {45, 192},
              DType::BFloat16,
              {.group_size = group, .algorithm = algorithm}));
      const auto linear = linear_of(w.to(at::kFloat));
      torch::nn::init::zeros_(linear->bias);
      ASSERT_EQ(pack_lowbit_(*linear, Int8Compute::Float)[0].refusal, "");
      const at::Tensor decoded = mantissa::dequantize(w).to(at::kFloat);
      EXPECT_TRUE(torch::equal(linear->forward(torch::eye(192)), decoded.t()));
      const at::Tensor rows = torch::arange(45);
      EXPECT_TRUE(
          torch::equal(torch::embedding(linear->weight, rows), decoded));
    }
  }
}

// Padding that no encoder makes comes back too.
TEST(PackLowbitTest, TilesKeepPaddingThatIsNotTheSameEverywhere) {
  torch::manual_seed(14);
  const auto encoding = make_int4_tile_packed_encoding(
      {44, 192}, DType::BFloat16, {.group_size = 32});
  const at::Tensor w =
      to_quantized_tensor(torch::randn({44, 192}).to(at::kBFloat16), encoding);
  // The last code of the last row and the scale of a group behind K.
  for (const std::size_t field : {0, 1}) {
    auto fields = fields_of(w);
    fields[field] = fields[field].clone();
    if (field == 0) {
      fields[0].view({-1})[-1] = 0x50000000;
    } else {
      fields[1][20][3][0] = 7.0;
    }
    const auto linear = linear_of(make_quantized_tensor(encoding, fields));
    ASSERT_EQ(pack_lowbit_(*linear, Int8Compute::Float)[0].refusal, "");
    const auto after = fields_of(linear->weight);
    EXPECT_TRUE(torch::equal(fields[0], after[0]));
    EXPECT_TRUE(
        torch::equal(fields[1].view(at::kShort), after[1].view(at::kShort)));
  }
}

// A config that names its activations keeps them: the codes are those of
// torchao's sequence of operators, which multiplies the values.
TEST(PackLowbitTest, TokensAreQuantizedAsTheConfigSays) {
  torch::manual_seed(6);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor w = to_quantized_tensor(
        torch::randn({48, 192}).to(dtype),
        make_intx_encoding(
            {48, 192},
            dtype == at::kFloat ? DType::Float32 : DType::BFloat16,
            {.target_dtype = DType::Int4,
             .granularity = PerGroup{32},
             .activation_quantization = "int8_asym_per_token"}));
    const auto plain = linear_of(w);
    const auto packed = linear_of(w);
    pack_lowbit_(*packed, Int8Compute::Group32);
    for (const double shift : {0.0, 5.0, -5.0}) {
      const at::Tensor x = (torch::randn({20, 192}) + shift).to(dtype);
      const at::Tensor expected = plain->forward(x).to(at::kDouble);
      const at::Tensor y = packed->forward(x).to(at::kDouble) -
                           packed->bias.to(at::kDouble) +
                           plain->bias.to(at::kDouble);
      const double most = expected.abs().max().item<double>();
      EXPECT_LT((y - expected).abs().max().item<double>(),
                most * (dtype == at::kFloat ? 2e-6 : 0.03));
    }
  }
}

// Int8 weights whose config names int8 activations.
std::vector<NamedEncoding> int8_encodings(const Shape& shape, DType dtype) {
  std::vector<NamedEncoding> out;
  for (const auto mapping : {MappingType::Symmetric, MappingType::Asymmetric}) {
    for (const Granularity& granularity :
         {Granularity(PerRow{}), Granularity(PerTensor{})}) {
      for (const bool reduced : {false, true}) {
        out.push_back(
            {"Int8Tensor " + std::to_string(out.size()),
             make_int8_encoding(shape,
                                dtype,
                                {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{
                                     granularity, mapping, reduced}})});
      }
    }
  }
  HostTensor scale(DType::Float32, {1, 1});
  scale.as<float>()[0] = 0.03f;
  HostTensor zero(DType::Int8, {1, 1});
  zero.as<std::int8_t>()[0] = -7;
  out.push_back(
      {"Int8Tensor static",
       make_int8_encoding(shape,
                          dtype,
                          {.act_quant_kwargs =
                               QuantizeTensorToInt8Kwargs{
                                   PerTensor{}, MappingType::Asymmetric},
                           .act_quant_scale = scale,
                           .act_quant_zero_point = zero})});
  for (const char* strategy : {"token", "tensor"}) {
    for (const char* symmetric : {"true", "false"}) {
      CompressedSpec spec;
      spec.format = CompressedFormat::IntQuantized;
      spec.num_bits = 8;
      spec.strategy = CompressedStrategy::Channel;
      spec.input_activations =
          fmt::format(R"({{"type":"int","strategy":"{}","symmetric":{},)"
                      R"("dynamic":true}})",
                      strategy,
                      symmetric);
      out.push_back({spec.input_activations,
                     make_compressed_encoding(shape, dtype, spec)});
    }
  }
  return out;
}

// What torchao's wheel and compressed-tensors judge are the products of codes
// that are not packed.
TEST(PackLowbitTest, Int8CodesGiveTheSameBitsPacked) {
  torch::manual_seed(7);
  const int threads = at::get_num_threads();
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const Shape& shape : {Shape{48, 192}, Shape{37, 101}}) {
      const at::Tensor values = torch::randn(shape).to(dtype);
      at::Tensor rows = torch::randn({41, shape[1]}).to(dtype) * 3 + 1;
      rows[2].zero_();
      rows[3][5] = std::numeric_limits<float>::quiet_NaN();
      rows[4][0] = std::numeric_limits<float>::infinity();
      for (const auto& [name, encoding] :
           int8_encodings(shape, dtype_of(dtype))) {
        const at::Tensor w = to_quantized_tensor(values, encoding);
        const auto packed = linear_of(w);
        ASSERT_EQ(pack_lowbit_(*packed, Int8Compute::Group32).size(), 1u);
        ASSERT_THAT(describe(packed->weight), HasSubstr("packed")) << name;
        for (const std::int64_t m : {0, 1, 2, 3, 8, 17, 41}) {
          // A tensor's one scale would make all of it NaN.
          const at::Tensor x = rows.slice(0, 41 - m).contiguous();
          for (const at::Tensor& bias : {packed->bias.detach(), at::Tensor()}) {
            const at::Tensor expected = at::linear(x, w, bias);
            for (const int count : {1, 2}) {
              at::set_num_threads(count);
              EXPECT_TRUE(at::allclose(at::linear(x, packed->weight, bias),
                                       expected,
                                       0,
                                       0,
                                       /*equal_nan=*/true))
                  << name << ' ' << dtype << ' ' << m << " rows";
            }
          }
        }
      }
    }
  }
  at::set_num_threads(threads);
}

TEST(PackLowbitTest, PackedInt8CodesAreUnpackedAndPackedAgain) {
  torch::manual_seed(8);
  const auto encodings = int8_encodings({48, 192}, DType::Float32);
  for (const auto& [name, encoding] : encodings) {
    const at::Tensor w = to_quantized_tensor(torch::randn({48, 192}), encoding);
    const auto linear = linear_of(w);
    pack_lowbit_(*linear, Int8Compute::Float);
    const auto stored = fields_of(w);
    const auto back = fields_of(linear->weight);
    ASSERT_EQ(back.size(), stored.size());
    for (std::size_t i = 0; i < stored.size(); ++i) {
      EXPECT_TRUE(at::equal(back[i], stored[i])) << name << " field " << i;
    }
    const at::Tensor x = torch::randn({3, 192});
    const at::Tensor y = at::linear(x, w);
    const auto packed = pack_lowbit_(*linear, Int8Compute::Group64);
    EXPECT_EQ(packed.front().refusal, "");
    EXPECT_TRUE(at::equal(at::linear(x, linear->weight), y)) << name;
    // Views, and the product from the left.
    EXPECT_TRUE(at::equal(at::linear(x, linear->weight.slice(0, 8, 24)),
                          y.slice(1, 8, 24)));
    EXPECT_TRUE(at::equal(at::matmul(x, linear->weight.t()), y));
  }
}

TEST(PackLowbitTest, RowsDoNotDependOnTheirCompanyNorOnThreads) {
  torch::manual_seed(3);
  const at::Tensor w = to_quantized_tensor(
      torch::randn({200, 192}),
      make_intx_encoding({200, 192},
                         DType::Float32,
                         {.target_dtype = DType::Int4,
                          .granularity = PerGroup{32},
                          .mapping_type = MappingType::Asymmetric}));
  const at::Tensor x = torch::randn({300, 192});
  const int threads = at::get_num_threads();
  for (const auto compute : {Int8Compute::Group32, Int8Compute::Float}) {
    const auto linear = linear_of(w);
    pack_lowbit_(*linear, compute);
    at::set_num_threads(1);
    const at::Tensor one = linear->forward(x);
    at::set_num_threads(2);
    const at::Tensor two = linear->forward(x);
    EXPECT_TRUE(torch::equal(one, two));
    for (const std::int64_t m : {1, 2, 3, 5, 17}) {
      EXPECT_TRUE(torch::equal(linear->forward(x.narrow(0, 100, m)),
                               two.narrow(0, 100, m)))
          << m;
    }
  }
  at::set_num_threads(threads);
}

TEST(PackLowbitTest, NonFiniteRowsAreNanAndSpoilNoOther) {
  const at::Tensor w = to_quantized_tensor(
      torch::ones({48, 64}), make_int8_encoding({48, 64}, DType::Float32, {}));
  for (const auto compute : {Int8Compute::Token,
                             Int8Compute::Group32,
                             Int8Compute::Group64,
                             Int8Compute::Float}) {
    const auto linear = linear_of(w);
    pack_lowbit_(*linear, compute);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
      at::Tensor x = torch::ones({9, 64});
      x[4][40] = bad;
      const at::Tensor y = linear->forward(x);
      // A float of infinity has the sign of the weight.
      EXPECT_TRUE(
          (compute == Int8Compute::Float ? ~y[4].isfinite() : y[4].isnan())
              .all()
              .item<bool>());
      EXPECT_TRUE(y.narrow(0, 0, 4).isfinite().all().item<bool>());
      EXPECT_TRUE(y.narrow(0, 5, 4).isfinite().all().item<bool>());
    }
  }
}

TEST(PackLowbitTest, GradientsReachTheInput) {
  torch::manual_seed(5);
  const at::Tensor w = to_quantized_tensor(
      torch::randn({48, 64}), make_int8_encoding({48, 64}, DType::Float32, {}));
  const auto linear = linear_of(w);
  pack_lowbit_(*linear, Int8Compute::Group32);
  const at::Tensor x = torch::randn({3, 64}).requires_grad_();
  linear->forward(x).sum().backward();
  EXPECT_TRUE(torch::allclose(
      x.grad(), torch::ones({3, 48}).mm(mantissa::dequantize(w)), 1e-5, 1e-5));
}

// Why the weight of a linear stays as it is, or "".
std::string reason(const at::Tensor& w,
                   Int8Compute compute = Int8Compute::Group32) {
  const auto linear = linear_of(w);
  const auto report = pack_lowbit_(*linear, compute);
  return report.empty() ? "nothing quantized" : report[0].refusal;
}

TEST(PackLowbitTest, ReasonsForWhatStays) {
  const Shape shape = {48, 192};
  const at::Tensor plain = torch::randn({48, 192});
  EXPECT_EQ(reason(plain), "nothing quantized");
  EXPECT_THAT(reason(to_quantized_tensor(
                  plain,
                  make_intx_encoding(shape,
                                     DType::Float32,
                                     {.target_dtype = DType::Int4,
                                      .granularity = PerGroup{48}}))),
              HasSubstr("group_size must be 32, 64"));
  EXPECT_EQ(reason(to_quantized_tensor(
                plain,
                make_int8_encoding(
                    shape,
                    DType::Float32,
                    {.granularity = PerGroup{32},
                     .act_quant_kwargs = QuantizeTensorToInt8Kwargs{}}))),
            "its scales do not go with int8 activations");
  EXPECT_EQ(reason(to_quantized_tensor(
                torch::randn({1, 32800}),
                make_int8_encoding(
                    {1, 32800},
                    DType::Float32,
                    {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{}}))),
            "its rows have more than 32768 values");
  const at::Tensor dynamic = to_quantized_tensor(
      plain,
      make_intx_encoding(shape,
                         DType::Float32,
                         {.target_dtype = DType::Int4,
                          .granularity = PerGroup{32},
                          .activation_quantization = "int8_asym_per_token"}));
  EXPECT_EQ(reason(dynamic), "");
  EXPECT_EQ(reason(dynamic, Int8Compute::Float),
            "its config names int8 activations");
  EXPECT_EQ(reason(to_quantized_tensor(
                plain,
                make_float8_encoding(
                    shape,
                    DType::Float32,
                    {.act_quant_kwargs = QuantizeTensorToFloat8Kwargs{}}))),
            "its config names float8 activations");
  EXPECT_EQ(
      reason(to_quantized_tensor(
          plain,
          make_float8_encoding(
              shape, DType::Float32, {.float8_dtype = DType::Float8E4M3FNUZ}))),
      "its float8 dtype is not float8_e4m3fn or float8_e5m2");
}

TEST(PackLowbitTest, ReasonsForActivationFieldsThatStay) {
  const Shape shape = {48, 192};
  const at::Tensor plain = torch::randn({48, 192});
  HostTensor scales(DType::Float32, {2, 1});
  scales.as<float>()[0] = scales.as<float>()[1] = 0.03f;
  EXPECT_EQ(
      reason(to_quantized_tensor(
          plain,
          make_int8_encoding(shape,
                             DType::Float32,
                             {.act_quant_kwargs = QuantizeTensorToInt8Kwargs{},
                              .act_quant_scale = scales}))),
      "it holds a scale for each row of activations");
  HostTensor factors(DType::Float32, {192});
  std::fill_n(factors.as<float>(), 192, 1.0f);
  EXPECT_EQ(reason(to_quantized_tensor(
                plain,
                make_int8_encoding(
                    shape, DType::Float32, {.act_pre_scale = factors}))),
            "it holds an act_pre_scale for activations");
}

// Code * scale + offset, rounded once, is not what such a format decodes to.
TEST(PackLowbitTest, FloatZeroPointsStayAsTheyAreRoundedMoreThanOnce) {
  const auto encoding = make_intx_encoding(
      {16, 32},
      DType::Float32,
      {.target_dtype = DType::Int4, .granularity = PerGroup{32}});
  std::vector<FieldLayout> layouts = encoding->fields();
  layouts.back().dtype = DType::Float32;
  const float scale = 0.1f;
  const float zero = 0.3f;
  const at::Tensor w = make_quantized_tensor(
      find_format("IntxUnpackedToInt8Tensor")
          ->parse(encoding->attributes_json(), layouts),
      {torch::arange(-8, 8, at::kChar).unsqueeze(1).repeat({1, 32}),
       torch::full({16, 1}, scale),
       torch::full({16, 1}, zero)});
  EXPECT_EQ(reason(w, Int8Compute::Float), "its zero points are not integers");
  const at::Tensor values = mantissa::dequantize(w);
  int differ = 0;
  for (int code = -8; code < 8; ++code) {
    const float once = std::fma(static_cast<float>(code), scale, -zero * scale);
    differ += values[code + 8][0].item<float>() == once ? 0 : 1;
  }
  EXPECT_EQ(differ, 2);
}

TEST(PackLowbitTest, ReasonsForInt4TensorsThatStay) {
  const Shape shape = {48, 192};
  const at::Tensor plain = torch::randn({48, 192});
  EXPECT_EQ(reason(to_quantized_tensor(
                plain,
                make_int4_encoding(shape,
                                   DType::Float32,
                                   {.group_size = 32,
                                    .activation_dtype = DType::Float8E4M3FN}))),
            "its config names float8 activations");
  EXPECT_THAT(
      reason(to_quantized_tensor(
          plain,
          make_int4_encoding(shape, DType::Float32, {.group_size = 24}))),
      HasSubstr("group_size must be 32, 64"));
  for (const auto& encoding :
       {make_int4_encoding(shape, DType::Float32, {.group_size = 32}),
        make_int4_tile_packed_encoding(
            shape, DType::BFloat16, {.group_size = 32})}) {
    EXPECT_EQ(reason(with_act_pre_scale(encoding)),
              "it holds an act_pre_scale for activations");
  }
}

// int8 activations do not multiply them: floats do, whatever is asked for.
TEST(PackLowbitTest, Float8CodesMultiplyFloats) {
  torch::manual_seed(9);
  for (const NamedEncoding& each : float8_encodings(DType::Float32)) {
    const at::Tensor w =
        to_quantized_tensor(torch::randn({48, 192}), each.encoding);
    const at::Tensor x = torch::randn({5, 192});
    std::vector<at::Tensor> results;
    for (const auto compute :
         {Int8Compute::Float, Int8Compute::Token, Int8Compute::Group32}) {
      const auto linear = linear_of(w);
      torch::nn::init::zeros_(linear->bias);
      ASSERT_EQ(pack_lowbit_(*linear, compute)[0].refusal, "") << each.name;
      results.push_back(linear->forward(x));
      EXPECT_TRUE(torch::equal(results.front(), results.back())) << each.name;
    }
  }
}

TEST(PackLowbitTest, EmbeddingsNameTheIndexThatIsOutside) {
  const at::Tensor w = to_quantized_tensor(
      torch::randn({48, 64}), make_int8_encoding({48, 64}, DType::Float32, {}));
  const auto linear = linear_of(w);
  pack_lowbit_(*linear, Int8Compute::Float);
  for (const std::int64_t bad : {48, -1}) {
    try {
      torch::embedding(linear->weight, torch::tensor({std::int64_t{3}, bad}));
      FAIL() << bad;
    } catch (const c10::IndexError& e) {
      EXPECT_THAT(e.what(),
                  HasSubstr("embedding: index " + std::to_string(bad) +
                            " is outside [0, 48)"));
    }
  }
  // More indices than rows: the codes still, not a wider copy.
  const at::Tensor many = torch::arange(200).remainder(48);
  EXPECT_TRUE(torch::equal(torch::embedding(linear->weight, many),
                           mantissa::dequantize(w).index_select(0, many)));
}

// Files may hold what an encoder does not make.
TEST(PackLowbitTest, CodesOutsideTheirWidthKeepTheirValues) {
  const auto encoding = make_intx_encoding(
      {48, 64},
      DType::Float32,
      {.target_dtype = DType::Int4, .granularity = PerGroup{32}});
  auto fields =
      fields_of(to_quantized_tensor(torch::randn({48, 64}), encoding));
  fields[0][5][9] = 100;
  fields[0][47][63] = -128;
  const at::Tensor w = make_quantized_tensor(encoding, fields);
  const auto linear = linear_of(w);
  pack_lowbit_(*linear, Int8Compute::Group32);
  EXPECT_TRUE(torch::equal(fields_of(linear->weight)[0], fields[0]));
  const at::Tensor x = torch::ones({1, 64});
  EXPECT_TRUE(torch::allclose(linear->forward(x) - linear->bias,
                              x.mm(mantissa::dequantize(w).t()),
                              1e-4,
                              1e-4));
}

// Codes made once give what each product makes for itself; what does not take
// them, or is differentiated, goes its own way.
TEST(PackLowbitTest, LinearsShareTheCodesOfTheirInput) {
  torch::manual_seed(11);
  const auto made = [](Int8Compute compute) {
    const auto linear = linear_of(to_quantized_tensor(
        torch::randn({48, 192}),
        make_intx_encoding(
            {48, 192},
            DType::Float32,
            {.target_dtype = DType::Int4, .granularity = PerGroup{32}})));
    pack_lowbit_(*linear, compute);
    return linear;
  };
  for (const auto compute :
       {Int8Compute::Token, Int8Compute::Group32, Int8Compute::Group64}) {
    for (const auto last : {compute, Int8Compute::Float, Int8Compute::None}) {
      const LinearPtr a = made(compute);
      const LinearPtr b = made(compute);
      const LinearPtr c = made(last);
      for (const auto dtype : {at::kFloat, at::kBFloat16}) {
        // A decoded weight wants its own dtype.
        if (last == Int8Compute::None && dtype != at::kFloat) continue;
        const at::Tensor x = torch::randn({10, 192}).to(dtype);
        const torch::NoGradGuard no_grad;
        const auto all = forward_each(x, {&a, &b, &c});
        EXPECT_TRUE(torch::equal(all[0], a->forward(x)));
        EXPECT_TRUE(torch::equal(all[1], b->forward(x)));
        EXPECT_TRUE(torch::equal(all[2], c->forward(x)));
      }
    }
  }
  const LinearPtr a = made(Int8Compute::Group32);
  const at::Tensor x = torch::randn({3, 192}).requires_grad_();
  forward_each(x, {&a, &a})[1].sum().backward();
  EXPECT_TRUE(x.grad().defined());
}

TEST(PackLowbitTest, EmptyInputsGiveEmptyOutputs) {
  const at::Tensor w = to_quantized_tensor(
      torch::randn({48, 64}), make_int8_encoding({48, 64}, DType::Float32, {}));
  const auto linear = linear_of(w);
  pack_lowbit_(*linear, Int8Compute::Token);
  EXPECT_EQ(linear->forward(torch::randn({0, 64})).sizes(),
            at::IntArrayRef({0, 48}));
  EXPECT_EQ(linear->forward(torch::randn({2, 3, 64})).sizes(),
            at::IntArrayRef({2, 3, 48}));
  EXPECT_EQ(linear->forward(torch::randn({64})).sizes(), at::IntArrayRef({48}));
  EXPECT_THROW(linear->forward(torch::randn({2, 63})), c10::ValueError);
}

}  // namespace
}  // namespace mantissa
