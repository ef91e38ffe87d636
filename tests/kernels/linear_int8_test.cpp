#include "kernels/linear_int8.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/emulated_tiles.h"

namespace mantissa::kernels {
namespace {

enum class Codes { Random, Lowest };

std::vector<std::int8_t> codes(std::int64_t count, unsigned seed, Codes kind) {
  std::mt19937 random(seed);
  // One more at the front: the rows stand at odd addresses.
  std::vector<std::int8_t> out(static_cast<std::size_t>(count) + 1);
  for (auto& code : out) {
    code =
        kind == Codes::Lowest
            ? std::int8_t{-128}
            : static_cast<std::int8_t>(static_cast<int>(random() % 256) - 128);
  }
  return out;
}

struct Case {
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
};

std::vector<std::byte> run(const LinearInt8Kernel& kernel,
                           const Case& size,
                           Element out,
                           bool asymmetric,
                           Codes kind) {
  const auto x = codes(size.m * size.k, 1, kind);
  const auto w = codes(size.n * size.k, 2, kind);
  std::vector<float> scales;
  std::vector<float> zeros;
  for (std::int64_t i = 0; i < size.m; ++i) {
    scales.push_back(0.01f + 0.003f * static_cast<float>(i));
    zeros.push_back(static_cast<float>(i % 7 - 3));
  }
  std::vector<float> w_scales;
  for (std::int64_t j = 0; j < size.n; ++j) {
    w_scales.push_back(0.002f + 0.0001f * static_cast<float>(j));
  }
  const std::vector<float> bias(static_cast<std::size_t>(size.n), 0.25f);
  std::vector<std::byte> y(static_cast<std::size_t>(size.m * size.n) * 4);
  const LinearInt8Args args{.x = x.data() + 1,
                            .w = w.data() + 1,
                            .m = size.m,
                            .n = size.n,
                            .k = size.k,
                            .x_scale = scales.data(),
                            .x_zero_point = asymmetric ? zeros.data() : nullptr,
                            .w_scale = w_scales.data(),
                            .bias = bias.data(),
                            .y = y.data()};
  // Two tiles, cut at odd places.
  const std::int64_t cut = size.n / 3;
  kernel.run(out, args, {0, size.m, 0, cut});
  kernel.run(out, args, {0, size.m, cut, size.n});
  return y;
}

// Judge: the reference, whose sums the test of linear_int8 in tests/torch
// compares with torchao's.
TEST(LinearInt8, EveryRowEqualsTheReferenceToTheBit) {
  const LinearInt8Kernel& reference = linear_int8_kernels().back();
  for (const LinearInt8Kernel& kernel : linear_int8_kernels()) {
    if (kernel.refuses({.m = 512}, host_caps()) != nullptr) continue;
    for (const std::int64_t k : {0, 1, 15, 16, 17, 63, 64, 65, 576, 1000}) {
      for (const Case& size : {Case{1, 1, k},
                               Case{1, 9, k},
                               Case{3, 5, k},
                               Case{9, 33, k},
                               Case{37, 150, k}}) {
        for (const Codes kind : {Codes::Random, Codes::Lowest}) {
          for (const bool asymmetric : {false, true}) {
            const Element out = static_cast<Element>(k % 3);
            EXPECT_TRUE(run(kernel, size, out, asymmetric, kind) ==
                        run(reference, size, out, asymmetric, kind))
                << kernel.name << " m " << size.m << " n " << size.n << " k "
                << k;
          }
        }
      }
    }
  }
}

TEST(LinearInt8, EmulatedTilesEqualTheReferenceToTheBit) {
  const LinearInt8Kernel emulated = {
      "emulated tiles", nullptr, run_linear_int8_emulated};
  const LinearInt8Kernel& reference = linear_int8_kernels().back();
  for (const Case& size : {Case{1, 1, 0},
                           Case{1, 9, 1},
                           Case{16, 48, 64},
                           Case{17, 50, 65},
                           Case{33, 150, 576},
                           Case{16, 100, 128},
                           Case{37, 450, 1000},
                           Case{18, 201, 2100}}) {
    for (const Codes kind : {Codes::Random, Codes::Lowest}) {
      EXPECT_TRUE(run(emulated, size, Element::F32, true, kind) ==
                  run(reference, size, Element::F32, true, kind))
          << "m " << size.m << " n " << size.n << " k " << size.k;
    }
  }
  check_tiles_released();
}

TEST(LinearInt8, TheLongestRowIsExact) {
  for (const LinearInt8Kernel& kernel : linear_int8_kernels()) {
    if (kernel.refuses({.m = 512}, host_caps()) != nullptr) continue;
    const std::int8_t lowest = -128;
    std::vector<std::int8_t> ones(static_cast<std::size_t>(kInt8SumColumns),
                                  lowest);
    const float scale = 1;
    float y = 0;
    const LinearInt8Args args{.x = ones.data(),
                              .w = ones.data(),
                              .m = 1,
                              .n = 1,
                              .k = kInt8SumColumns,
                              .x_scale = &scale,
                              .w_scale = &scale,
                              .y = &y};
    kernel.run(Element::F32, args, {0, 1, 0, 1});
    EXPECT_EQ(y, 0x1p30f) << kernel.name;
  }
}

TEST(LinearInt8, LongerRowsGoToTheReference) {
  EXPECT_STREQ(select_linear_int8({.k = kInt8SumColumns + 1}).name,
               "linear_i8dyn_i8c_ref");
}

}  // namespace
}  // namespace mantissa::kernels
