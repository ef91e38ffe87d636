#include "torch/ops/packed_int8.h"

#include <vector>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/formats/int8_tensor.h>
#include <mantissa/torch/quantized_tensor.h>

#include "torch/ops/linear_lowbit.h"

namespace mantissa {
namespace {

constexpr std::int64_t kParts = 3;

struct PartCodes {
  at::Tensor qdata;
  at::Tensor scale;
};

PartCodes random_parts(std::int64_t n, std::int64_t k) {
  return {torch::randint(-128, 128, {kParts, n, k}, at::kChar),
          torch::rand({kParts, n, 1}) + 0.01};
}

Int8Weight packed(const PartCodes& w) {
  const auto encoding =
      make_int8_encoding(w.qdata.sizes().vec(), DType::Float32, {});
  return {
      pack_lowbit_weight(
          encoding, {w.qdata, w.scale, torch::zeros_like(w.scale, at::kChar)}),
      w.scale,
      w.qdata};
}

std::vector<Int8Activation> part_activations(std::int64_t rows) {
  std::vector<Int8Activation> out;
  for (const auto mapping : {MappingType::Symmetric, MappingType::Asymmetric}) {
    for (const bool per_tensor : {false, true}) {
      for (const auto formula :
           {RowFormula::Torchao, RowFormula::CompressedTensors}) {
        out.push_back(
            {.per_tensor = per_tensor, .mapping = mapping, .formula = formula});
      }
    }
  }
  out.push_back({.scale = torch::rand({rows, 1}) * 0.02 + 0.01});
  return out;
}

Int8Activation for_rows(Int8Activation how,
                        std::int64_t begin,
                        std::int64_t end) {
  if (how.scale.defined()) how.scale = how.scale.slice(0, begin, end);
  return how;
}

// With a bias of each expert, of any dtype that linear_int8() reads.
TEST(PackedInt8Test, PartsAreLinearInt8OfEach) {
  torch::manual_seed(3);
  for (const std::int64_t k : {32, 100}) {
    const PartCodes w = random_parts(32, k);
    const Int8Weight weight = packed(w);
    for (const std::vector<std::int64_t>& ends :
         {std::vector<std::int64_t>{2, 2, 9}, {0, 1, 1}, {5, 6, 40}}) {
      for (const auto& how : part_activations(ends.back())) {
        for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
          const at::Tensor x = torch::randn({ends.back(), k}).to(dtype);
          const at::Tensor bias = torch::randn({kParts, 32}).to(dtype);
          for (const auto out_dtype : {at::kFloat, dtype}) {
            const at::Tensor y = Int8Input(x, how, ends)
                                     .linear(weight, bias.flatten(), out_dtype);
            ASSERT_EQ(y.sizes(), (std::vector<std::int64_t>{ends.back(), 32}));
            std::int64_t begin = 0;
            for (std::int64_t e = 0; e < kParts; ++e) {
              const std::int64_t end = ends[static_cast<std::size_t>(e)];
              if (end == begin) continue;
              EXPECT_TRUE(torch::equal(y.slice(0, begin, end),
                                       linear_int8(x.slice(0, begin, end),
                                                   w.qdata[e],
                                                   w.scale[e],
                                                   bias[e],
                                                   for_rows(how, begin, end),
                                                   out_dtype)))
                  << k << " expert " << e << " " << dtype;
              begin = end;
            }
          }
        }
      }
    }
  }
}

// An input that holds another x in its memory is as a new one.
TEST(PackedInt8Test, MemoryIsUsedAgain) {
  torch::manual_seed(4);
  const PartCodes w = random_parts(16, 64);
  const Int8Weight weight = packed(w);
  Int8Input input;
  const std::vector<std::int64_t> all_ends[] = {
      {9, 20, 33}, {0, 0, 1}, {2, 2, 7}, {0, 0, 0}, {9, 21, 40}};
  for (const auto mapping : {MappingType::Asymmetric, MappingType::Symmetric}) {
    for (const auto& ends : all_ends) {
      const at::Tensor x = torch::randn({ends.back(), 64});
      const Int8Activation how = {.mapping = mapping};
      input.take(x, how, ends);
      EXPECT_TRUE(
          torch::equal(input.linear(weight, {}, at::kFloat),
                       Int8Input(x, how, ends).linear(weight, {}, at::kFloat)));
    }
  }
}

}  // namespace
}  // namespace mantissa
