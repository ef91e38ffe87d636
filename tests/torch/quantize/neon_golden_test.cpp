// What torchao's NEON kernels gave for int8 activations per token and low-bit
// weights, on aarch64.
#include <cmath>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>
#include <mantissa/torch/lowbit.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/ops/quantize_rows.h"
#include "torch/quantize/linear_of.h"
#include "torch/quantize/lowbit_encodings.h"

namespace mantissa {
namespace {

constexpr std::int64_t kN = 10;
constexpr std::int64_t kK = 64;
constexpr std::int64_t kGroup = 32;

// Bits, whether there are zero points, and the first of two rows to six digits.
constexpr const char* kProducts = R"(
1 0 -6.87255 -8.75098 -10.6294 -12.5078 -14.3863
   -16.2647 -18.1431 -20.0216 -21.9 -23.7784
1 1 -7.1549 -8.2451 -10.5471 -13.6373 -13.1039
   -16.1118 -20.1196 -17.9627 -21.6765 -26.602
2 0 -5.85686 -9.75098 -13.6451 -17.5392 -21.4333
   -25.3275 -29.2216 -33.1157 -37.0098 -40.9039
2 1 -6.13922 -9.2451 -13.5627 -18.6686 -20.151
   -25.1745 -31.198 -31.0569 -36.7863 -43.7274
3 0 32.4725 64.8922 97.3118 129.731 162.151
   194.571 226.99 259.41 291.829 324.249
3 1 32.1902 65.398 97.3941 128.602 163.433
   194.724 225.014 261.469 292.053 321.426
4 0 35.6255 65.7235 92.4961 138.531 149.367
   211.339 206.237 284.147 263.108 356.955
4 1 35.3431 66.2294 92.5784 137.402 150.649
   211.492 204.261 286.206 263.331 354.131
5 0 25.1784 41.9118 115.367 179.535 114.073
   153.143 253.955 359.535 202.967 264.375
5 1 24.8961 42.4177 115.449 178.406 115.355
   153.296 251.978 361.594 203.19 261.551
6 0 -19.8098 134.586 -51.9745 395.818 300.112
   -97.649 621.578 -46.9902 -124.124 673.284
6 1 -20.0922 135.092 -51.8922 394.688 301.394
   -97.4961 619.602 -44.9314 -123.9 670.461
7 0 -28.9706 -196.582 576.104 -370.802 1094.34
   -936.551 1147.76 -158.551 -618.931 2379.83
7 1 -29.253 -196.076 576.186 -371.931 1095.62
   -936.398 1145.78 -156.492 -618.708 2377
8 0 5.41371 -288.19 416.229 76.6961 1667.83
   -394.182 -775.504 -495.116 572.472 1216.53
8 1 5.13136 -287.684 416.312 75.5667 1669.11
   -394.029 -777.48 -493.057 572.696 1213.71
)";

// ((37 i) mod 101 - 50) / 25. That straddles 0, where the kernels and torchao's
// Python rule choose the same range; the kernels add the zero point, -1, before
// they round and the rule does it behind: the halves, 10 and 30 by 2.55, are
// moved to where both round alike.
at::Tensor input(std::int64_t rows, std::int64_t columns) {
  const at::Tensor i = torch::arange(rows * columns);
  const at::Tensor n = (i * 37 % 101 - 50).to(at::kFloat);
  const at::Tensor moved =
      n + n * 1e-5 *
              ((n.abs() == 30).to(at::kFloat) - (n.abs() == 10).to(at::kFloat));
  return (moved / 25).view({rows, columns});
}

at::Tensor weight(int bits, bool zeros) {
  const at::Tensor i = torch::arange(kN * kK);
  const at::Tensor g = torch::arange(kN * kK / kGroup);
  const at::Tensor codes =
      (37 * i + 11 + torch::div(i, 8, "floor")).bitwise_and((1 << bits) - 1) -
      (1 << (bits - 1));
  const at::Tensor zero = zeros ? g % 3 - 1 : torch::zeros_like(g);
  const Shape groups = {kN, kK / kGroup};
  return make_quantized_tensor(
      make_intx_encoding(
          {kN, kK},
          DType::Float32,
          {.target_dtype = tests::kIntWidths[bits - 1],
           .granularity = PerGroup{kGroup},
           // One bit has no symmetric grid.
           .mapping_type = zeros || bits == 1 ? MappingType::Asymmetric
                                              : MappingType::Symmetric,
           .activation_quantization = "int8_asym_per_token"}),
      {codes.view({kN, kK}).to(at::kChar),
       (0.5 + 0.25 * g).to(at::kFloat).view(groups),
       zero.to(at::kChar).view(groups)});
}

TEST(NeonGoldenTest, CodesOfATokenAreThoseOfTheKernels) {
  const at::Tensor x = input(1, 32);
  const RowRule rule = int8_asym_per_token(DType::Float32);
  RowCodes codes(1, 32);
  choose_row_params(x, rule, codes);
  quantize_rows(x, rule.range, DType::Float32, codes);
  EXPECT_EQ(codes.scale[0], 0.0156862754f);
  EXPECT_EQ(codes.zero_point[0], -1);
  std::string hex;
  int sum = 0;
  for (int i = 0; i < 32; ++i) {
    hex += fmt::format("{:02x}", static_cast<std::uint8_t>(codes.codes[i]));
    sum += codes.codes[i];
  }
  EXPECT_EQ(hex,
            "80de3c99f756b2116fcc2a87e644a1ff5dba1877d4328fed4ca80765c2207edb");
  EXPECT_EQ(sum, -68);
}

TEST(NeonGoldenTest, ProductsAreThoseOfTheKernels) {
  const at::Tensor x = input(2, kK);
  const at::Tensor bias = torch::arange(kN).to(at::kFloat) - 3.5;
  std::istringstream golden(kProducts);
  int bits = 0;
  int zeros = 0;
  int lines = 0;
  const torch::NoGradGuard no_grad;
  for (; golden >> bits >> zeros; ++lines) {
    const at::Tensor w = weight(bits, zeros != 0);
    const auto linear = tests::linear_of(w);
    linear->bias.copy_(bias);
    const auto report = pack_lowbit_(*linear, Int8Compute::Group32);
    ASSERT_EQ(report.at(0).refusal, "") << bits;
    const at::Tensor y = linear->forward(x)[0];
    // Six digits of theirs, and a few roundings of what either adds.
    const at::Tensor terms =
        mantissa::dequantize(w).abs().mv(x[0].abs()) + bias.abs();
    for (std::int64_t j = 0; j < kN; ++j) {
      double expected = 0;
      ASSERT_TRUE(golden >> expected);
      EXPECT_NEAR(
          y[j].item<double>(),
          expected,
          std::abs(expected) * 5e-6 + 4 * 0x1p-24 * terms[j].item<double>())
          << bits << " bits, zeros " << zeros << ", column " << j;
    }
  }
  EXPECT_EQ(lines, 16);
}

}  // namespace
}  // namespace mantissa
