#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mantissa/torch/decoder.h>

#include "torch/models/cache_rows.h"

namespace mantissa {
namespace {

using ::testing::HasSubstr;

DecoderConfig config_of(std::int64_t kv_heads, std::int64_t head_dim) {
  DecoderConfig config;
  config.kv_heads = kv_heads;
  config.head_dim = head_dim;
  config.layers.resize(2);
  return config;
}

TEST(KvCacheTest, NarrowTypesTakeAHalfAndAQuarter) {
  const DecoderConfig config = config_of(3, 64);
  const auto bytes = [&](c10::ScalarType type) {
    const KvCache cache(config, 2, 10, at::TensorOptions(type));
    EXPECT_EQ(cache.dtype(), type);
    EXPECT_EQ(cache.nbytes(), KvCache::bytes_for(config, 2, 10, type));
    return cache.nbytes();
  };
  const std::int64_t wide = bytes(at::kFloat);
  EXPECT_EQ(wide, 2 * 2 * 2 * 10 * 3 * 64 * 4);
  EXPECT_EQ(2 * bytes(at::kBFloat16), wide);
  EXPECT_EQ(2 * bytes(at::kHalf), wide);
  // A scale of 4 bytes with 64 codes.
  EXPECT_EQ(256 * bytes(at::kChar), 68 * wide);
}

// A rule of the formula in ATen: the kernels' codes are those.
TEST(KvCacheTest, Int8RoundsEveryHeadAndPosition) {
  torch::manual_seed(3);
  const KvCache cache(config_of(3, 20), 2, 40, at::TensorOptions(at::kChar));
  const KvCache::Layer& layer = cache.layer(1);
  const at::Tensor k = torch::randn({2, 3, 33, 20}) * 4;
  const at::Tensor v = torch::randn({2, 33, 3, 20}).transpose(1, 2);
  append_positions(layer, 5, k, v);
  const auto check = [&](const at::Tensor& rows,
                         const at::Tensor& scales,
                         const at::Tensor& x) {
    const at::Tensor scale = x.abs().amax(-1) / 127;
    EXPECT_TRUE(torch::equal(scales.narrow(2, 5, 33), scale));
    const at::Tensor codes = (x * (1 / scale).unsqueeze(-1)).round();
    EXPECT_TRUE(torch::equal(rows.narrow(2, 5, 33), codes.to(at::kChar)));
    const at::Tensor back =
        first_positions(rows, scales, 38, at::kFloat).narrow(2, 5, 33);
    EXPECT_LE(((back - x).abs() / scale.unsqueeze(-1)).max().item<double>(),
              0.5001);
  };
  check(layer.keys, layer.key_scales, k);
  check(layer.values, layer.value_scales, v);
}

TEST(KvCacheTest, OnePositionIsStoredAsManyAre) {
  torch::manual_seed(4);
  for (const c10::ScalarType type : {at::kFloat, at::kBFloat16, at::kChar}) {
    const KvCache one(config_of(3, 20), 1, 8, at::TensorOptions(type));
    const KvCache many(config_of(3, 20), 1, 8, at::TensorOptions(type));
    const at::Tensor k = torch::randn({1, 3, 1, 20});
    const at::Tensor v = torch::randn({1, 3, 1, 20});
    append_positions(many.layer(0), 6, k, v);
    CacheRows(one.layer(0))
        .append(kernels::select_decode_ops({20}),
                6,
                k.const_data_ptr<float>(),
                v.const_data_ptr<float>());
    const auto same = [](const at::Tensor& a, const at::Tensor& b) {
      return torch::equal(a.narrow(2, 6, 1), b.narrow(2, 6, 1));
    };
    EXPECT_TRUE(same(one.layer(0).keys, many.layer(0).keys));
    EXPECT_TRUE(same(one.layer(0).values, many.layer(0).values));
    if (type != at::kChar) continue;
    EXPECT_TRUE(same(one.layer(0).key_scales, many.layer(0).key_scales));
    EXPECT_TRUE(same(one.layer(0).value_scales, many.layer(0).value_scales));
  }
}

TEST(KvCacheTest, RefusesOtherTypesByName) {
  const auto refusal = [](const at::TensorOptions& options) -> std::string {
    try {
      KvCache(config_of(1, 4), 1, 1, options);
    } catch (const c10::TypeError& error) {
      return error.what_without_backtrace();
    }
    return "nothing was refused";
  };
  EXPECT_THAT(refusal(at::kDouble),
              HasSubstr("expected float32, bfloat16, float16 or int8, got "
                        "Double"));
  EXPECT_THAT(refusal(at::TensorOptions(at::kMeta).dtype(at::kChar)),
              HasSubstr("int8 is for the CPU, got meta; bfloat16 is for every "
                        "device"));
}

}  // namespace
}  // namespace mantissa
