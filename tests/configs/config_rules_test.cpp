#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

namespace mantissa {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// Message of validate(); choose() must throw the same one.
std::string message(const Config& config) {
  std::string text;
  try {
    config.validate();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    text = error.what();
  }
  if (!text.empty()) {
    try {
      config.choose({256, 256}, DType::BFloat16);
      ADD_FAILURE() << "choose() accepts what validate() refuses: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), text);
    }
  }
  return text;
}

std::string message(std::string_view words) {
  return message(*parse_config_words(words));
}

// "REFUSAL -> REMEDY", or the format's name.
std::string chosen(std::string_view words,
                   const Shape& shape,
                   DType dtype = DType::BFloat16) {
  const WeightChoice choice = parse_config_words(words)->choose(shape, dtype);
  if (choice.encoding) {
    EXPECT_EQ(choice.encoding->shape(), shape);
    EXPECT_EQ(choice.encoding->dtype(), dtype);
    EXPECT_EQ(choice.refusal + choice.remedy, "");
    return std::string(choice.encoding->format_name());
  }
  EXPECT_NE(choice.refusal, "");
  EXPECT_NE(choice.remedy, "");
  return choice.refusal + " -> " + choice.remedy;
}

TEST(ValidateTest, DefaultsOfAvailableConfigsAreValid) {
  for (const ConfigInfo& info : configs()) {
    const std::string text = message(*info.make());
    if (info.type == "Int8StaticActivationInt8WeightConfig") {
      EXPECT_EQ(text,
                "Int8StaticActivationInt8WeightConfig without act_quant_scale "
                "is not available in this version; available: act_quant_scale "
                "from a program (what a calibration found), "
                "int8_dynamic_activation_int8_weight");
    } else if (info.availability == Availability::Later) {
      EXPECT_THAT(text,
                  StartsWith(std::string(info.type) +
                             " is not available in this version; available: "
                             "int8_weight_only, "));
    } else if (info.type == "Float8DynamicActivationInt4WeightConfig") {
      EXPECT_EQ(text,
                "Float8DynamicActivationInt4WeightConfig with "
                "int4_packing_format preshuffled is not available in this "
                "version; available: int4_packing_format plain");
    } else if (info.type != "FqnToConfig") {
      EXPECT_EQ(text, "");
    }
    EXPECT_NE(info.summary, "");
    EXPECT_NE(info.fits, "");
    EXPECT_NE(info.fits_not, "");
  }
}

TEST(ValidateTest, Int8StaticTakesAScaleFromAProgram) {
  HostTensor scale(DType::Float32, {1, 1});
  *scale.as<float>() = 0.25F;
  Int8StaticActivationInt8WeightConfig config{{.act_quant_scale = scale}};
  EXPECT_EQ(message(config), "");
  const auto encoding = config.choose({4, 8}, DType::Float32).encoding;
  ASSERT_NE(encoding, nullptr);
  EXPECT_EQ(encoding->fields()[3].name, "act_quant_scale");
  EXPECT_EQ(encoding->fields()[3].shape, (Shape{1, 1}));
  EXPECT_THAT(encoding->attributes_json(), HasSubstr("\"PerRow\""));
  EXPECT_THAT(config.to_json(), HasSubstr("\"act_quant_scale\":null"));
  EXPECT_TRUE(config.act_quant_scale == TensorField(scale));
  EXPECT_FALSE(config.act_quant_scale == TensorField());
  config.granularity = Granularity(PerGroup{32});
  EXPECT_THAT(message(config), HasSubstr("granularity: expected PerTensor or"));
  config.granularity = Granularity(PerTensor{});
  config.act_quant_scale = HostTensor(DType::Float32, {4, 1});
  EXPECT_THROW(config.choose({4, 8}, DType::Float32), Error);
}

TEST(ValidateTest, Int4WeightOnly) {
  const std::string config = "int4_weight_only:";
  EXPECT_EQ(message(config + "group_size=0"),
            "Int4WeightOnlyConfig: group_size: expected at least 1, got 0");
  EXPECT_EQ(message(config + "int4_tile_packed_ntile=4"),
            "Int4WeightOnlyConfig: int4_tile_packed_ntile: expected 8 or 16, "
            "got 4");
  EXPECT_THAT(message(config + "int4_choose_qparams_algorithm=hqq"),
              HasSubstr("got hqq; HQQ needs "
                        "int4_packing_format=tile_packed_to_4d"));
  EXPECT_THAT(
      message(config + "group_size=48,int4_packing_format=tile_packed_to_4d"),
      HasSubstr("group_size: expected 32, 64, 128 or 256 (tile-packed), got "
                "48"));
  for (const char* packing : {"preshuffled", "plain_int32"}) {
    EXPECT_EQ(message(config + "int4_packing_format=" + packing),
              "Int4WeightOnlyConfig with int4_packing_format " +
                  std::string(packing) +
                  " is not available in this version; available: "
                  "int4_packing_format plain, tile_packed_to_4d");
  }
}

TEST(ValidateTest, Int8) {
  EXPECT_EQ(message("int8_weight_only:group_size=32"),
            "Int8WeightOnlyConfig: group_size: expected None, got 32; use "
            "granularity=per_group(32)");
  EXPECT_THAT(message("int8_weight_only:granularity=per_axis(0)"),
              HasSubstr("granularity: expected PerTensor, PerRow or PerGroup, "
                        "got PerAxis(0)"));
  EXPECT_THAT(message("int8_weight_only:granularity=none"),
              HasSubstr("got None"));
  EXPECT_THAT(message("int8_weight_only:granularity=per_group(0)"),
              HasSubstr("expected at least 1, got 0"));
  const std::string dynamic = "int8_dynamic_activation_int8_weight:";
  EXPECT_THAT(message(dynamic + "granularity=per_group(32)"),
              HasSubstr("granularity: expected PerTensor or PerRow(-1) for the "
                        "activation, got PerGroup(32)"));
  EXPECT_THAT(message(dynamic + "granularity=[per_row,per_group(32)]"),
              HasSubstr("expected PerTensor or PerRow for the weight"));
  EXPECT_THAT(message(dynamic + "granularity=per_row(0)"),
              HasSubstr("PerRow(-1) for the activation"));
  EXPECT_EQ(message(dynamic + "granularity=[per_row,per_row(0)]"), "");
  EXPECT_THAT(message(dynamic + "granularity=[per_row]"),
              HasSubstr("granularity: expected one granularity or two "
                        "(activation, weight), got a list of 1"));
  EXPECT_EQ(message(dynamic + "granularity=none"), "");
  EXPECT_THAT(message(dynamic + "act_mapping_type=SYMMETRIC_NO_CLIPPING_ERR"),
              HasSubstr("act_mapping_type: expected SYMMETRIC or ASYMMETRIC, "
                        "got SYMMETRIC_NO_CLIPPING_ERR"));
}

TEST(ValidateTest, Intx) {
  const std::string config = "intx_weight_only:";
  EXPECT_THAT(message(config + "weight_dtype=uint4"),
              HasSubstr("weight_dtype: expected int1 to int8, got uint4"));
  EXPECT_THAT(message(config + "granularity=per_axis(1)"),
              HasSubstr("granularity: expected PerGroup or PerAxis(0), got "
                        "PerAxis(1)"));
  EXPECT_THAT(message(config + "granularity=per_group(-3)"),
              HasSubstr("at least 1"));
  EXPECT_THAT(message(config + "scale_dtype=int8"),
              HasSubstr("scale_dtype: expected float32, bfloat16, float16 or "
                        "None, got int8"));
  EXPECT_THAT(message(config + "weight_dtype=int1,mapping_type="
                               "SYMMETRIC_NO_CLIPPING_ERR"),
              HasSubstr("mapping_type: expected SYMMETRIC or ASYMMETRIC for "
                        "int1"));
  EXPECT_THAT(message(config + "intx_packing_format=opaque_torchao_auto"),
              HasSubstr("with intx_packing_format opaque_torchao_auto is not "
                        "available"));
  const std::string dynamic = "int8_dynamic_activation_intx_weight:";
  EXPECT_THAT(message(dynamic + "weight_granularity=per_row"),
              HasSubstr("weight_granularity: expected PerGroup or PerAxis(0)"));
  EXPECT_THAT(message(dynamic + "act_mapping_type=SYMMETRIC"),
              HasSubstr("act_mapping_type: expected ASYMMETRIC, got "
                        "SYMMETRIC"));
}

TEST(ValidateTest, Float8) {
  EXPECT_THAT(message("float8_weight_only:weight_dtype=int8"),
              HasSubstr("weight_dtype: expected a float8 dtype"));
  EXPECT_THAT(message("float8_weight_only:granularity=per_token"),
              HasSubstr("PerTensor, PerRow or PerGroup"));
  const std::string dynamic = "float8_dynamic_activation_float8_weight:";
  EXPECT_THAT(message(dynamic + "activation_dtype=bfloat16"),
              HasSubstr("activation_dtype: expected a float8 dtype"));
  EXPECT_THAT(message(dynamic + "granularity=[per_row,per_tensor]"),
              HasSubstr("PerBlock(128x128)], got [PerRow(), PerTensor()]"));
  EXPECT_THAT(message(dynamic + "granularity=per_group(32)"),
              HasSubstr("granularity: expected PerTensor or PerRow for both"));
  EXPECT_THAT(message(dynamic + "packing_format=none"),
              HasSubstr("packing_format: expected PLAIN, got None"));
  EXPECT_THAT(message(dynamic + "packing_format=SPARSE_CUTLASS"),
              HasSubstr("with packing_format sparse_2d_data_2d_metadata is "
                        "not available"));
  EXPECT_THAT(message(dynamic + "kernel_preference=mslk,granularity="
                                "[per_block(1x128),per_block(128x128)]"),
              HasSubstr("AUTO or TORCH with blocks of 128, got MSLK"));
  EXPECT_THAT(message(dynamic + "activation_value_lb=-1"),
              HasSubstr("activation_value_lb: expected a number of at least "
                        "0, got -1"));
  EXPECT_THAT(message(dynamic + "activation_value_ub=inf"),
              HasSubstr("activation_value_ub"));
  EXPECT_THAT(message("float8_dynamic_activation_int4_weight:"
                      "int4_packing_format=plain_int32"),
              HasSubstr("int4_packing_format: expected plain or preshuffled, "
                        "got plain_int32"));
}

TEST(ValidateTest, Nf4) {
  EXPECT_THAT(message("nf4_weight_only:block_size=0"),
              HasSubstr("block_size: expected at least 1"));
  EXPECT_THAT(message("nf4_weight_only:block_size=3"),
              HasSubstr("block_size: expected an even number, got 3"));
  EXPECT_THAT(message("nf4_weight_only:scaler_block_size=-1"),
              HasSubstr("scaler_block_size: expected at least 1"));
}

TEST(ChooseTest, GroupSizeThatDoesNotDivide) {
  EXPECT_EQ(chosen("int4_weight_only", {576, 576}),
            "K = 576 is not a multiple of group_size 128 -> use --group-size "
            "64 or 32");
  EXPECT_EQ(chosen("intx_weight_only:granularity=per_group(256)", {4, 640}),
            "K = 640 is not a multiple of group_size 256 -> use --group-size "
            "128 or 64");
  EXPECT_THAT(chosen("int4_weight_only", {8, 100}),
              HasSubstr("-> keep it with --ignore, or choose a config with one "
                        "scale per row such as int8_weight_only"));
  for (const char* words : {"int8_weight_only:granularity=per_group(128)",
                            "float8_weight_only:granularity=per_group(128)",
                            "int8_dynamic_activation_intx_weight:"
                            "weight_granularity=per_group(128)"}) {
    EXPECT_THAT(chosen(words, {576, 576}), HasSubstr("group_size 128"))
        << words;
  }
  EXPECT_EQ(chosen("float8_dynamic_activation_int4_weight:"
                   "int4_packing_format=plain",
                   {576, 576}),
            "K = 576 is not a multiple of group_size 128 -> its group size is "
            "fixed; keep it with --ignore, or choose int4_weight_only for it");
  EXPECT_THAT(chosen("int4_weight_only:group_size=5", {8, 25}),
              StartsWith("K = 25 is odd, and two codes share a byte"));
}

TEST(ChooseTest, Ranks) {
  EXPECT_THAT(chosen("int8_weight_only", {64}),
              StartsWith("Int8WeightOnlyConfig takes weights [N, K] or [E, N, "
                         "K], got [64]"));
  EXPECT_THAT(chosen("int4_weight_only", {2, 2, 2, 128}),
              HasSubstr("got [2, "));
  for (const char* words : {"intx_weight_only",
                            "int8_dynamic_activation_intx_weight",
                            "nf4_weight_only"}) {
    EXPECT_THAT(chosen(words, {2, 256, 256}),
                HasSubstr("takes weights [N, K], got [2, 256, 256] -> keep it "
                          "with --ignore, or choose a config for expert"));
  }
}

TEST(ChooseTest, DTypes) {
  EXPECT_EQ(chosen("int8_weight_only", {64, 64}, DType::Float64),
            "Int8WeightOnlyConfig takes bfloat16, float16, float32 weights, "
            "got float64 -> use --dtype bfloat16");
  EXPECT_EQ(chosen("int4_weight_only:int4_packing_format=tile_packed_to_4d",
                   {256, 256},
                   DType::Float32),
            "tile-packed int4 takes bfloat16 weights, got float32 -> use "
            "--dtype bfloat16");
  EXPECT_EQ(chosen("float8_dynamic_activation_float8_weight:"
                   "granularity=per_row",
                   {256, 256},
                   DType::Float16),
            "float8 dynamic with per-row scales takes bfloat16 weights, got "
            "float16 -> use --dtype bfloat16, or granularity=per_tensor");
}

TEST(ChooseTest, Float8Dimensions) {
  const std::string dynamic = "float8_dynamic_activation_float8_weight";
  EXPECT_EQ(chosen(dynamic, {16, 100}),
            "K = 100 is not a multiple of 16, which float8 products need -> "
            "keep it with --ignore, or choose float8_weight_only for it");
  EXPECT_THAT(chosen(dynamic, {2, 20, 128}), StartsWith("N = 20 is not"));
  EXPECT_EQ(chosen(dynamic + ":granularity=[per_block(1x128),per_block("
                             "128x128)]",
                   {128, 576}),
            "K = 576 is not a multiple of the block 128 -> use "
            "granularity=per_row, or keep it with --ignore");
}

TEST(ChooseTest, Nf4Elements) {
  EXPECT_EQ(chosen("nf4_weight_only", {64, 64}),
            "4096 elements are not a multiple of block_size 64 x "
            "scaler_block_size 256 -> keep it with --ignore, or give smaller "
            "block sizes");
}

TEST(ChooseTest, FormatsOfEveryConfig) {
  const Shape matrix = {256, 512};
  const Shape experts = {3, 256, 512};
  for (const Shape& shape : {matrix, experts}) {
    for (const char* words :
         {"int8_weight_only",
          "int8_weight_only:granularity=per_tensor",
          "int8_weight_only:granularity=per_group(64)",
          "int8_dynamic_activation_int8_weight",
          "int8_dynamic_activation_int8_weight:reduce_range=none,"
          "granularity=[per_tensor,per_row],act_mapping_type=ASYMMETRIC"}) {
      EXPECT_EQ(chosen(words, shape), "Int8Tensor") << words;
    }
    for (const char* words :
         {"float8_weight_only",
          "float8_weight_only:weight_dtype=float8_e5m2,granularity=per_tensor",
          "float8_weight_only:granularity=per_group(64)",
          "float8_dynamic_activation_float8_weight",
          "float8_dynamic_activation_float8_weight:granularity=per_row",
          "float8_dynamic_activation_float8_weight:granularity="
          "[per_block(1x128),per_block(128x128)]"}) {
      EXPECT_EQ(chosen(words, shape), "Float8Tensor") << words;
    }
    EXPECT_EQ(chosen("int4_weight_only", shape), "Int4Tensor");
    EXPECT_EQ(chosen("int4_weight_only:int4_packing_format=tile_packed_to_4d,"
                     "int4_choose_qparams_algorithm=hqq",
                     shape),
              "Int4TilePackedTo4dTensor");
    EXPECT_EQ(chosen("float8_dynamic_activation_int4_weight:"
                     "int4_packing_format=plain",
                     shape),
              "Int4Tensor");
  }
  EXPECT_EQ(chosen("nf4_weight_only", matrix), "NF4Tensor");
  EXPECT_EQ(
      chosen("nf4_weight_only:block_size=32,scaler_block_size=128", {64, 64}),
      "NF4Tensor");
  for (const char* words :
       {"intx_weight_only",
        "intx_weight_only:weight_dtype=int3,granularity=per_group(64),"
        "scale_dtype=float32,mapping_type=ASYMMETRIC",
        "int8_dynamic_activation_intx_weight:weight_dtype=int4"}) {
    EXPECT_EQ(chosen(words, matrix), "IntxUnpackedToInt8Tensor") << words;
  }
}

// Attributes and field shapes as the formats' goldens spell them.
TEST(ChooseTest, ParametersReachTheFormat) {
  const auto encoding = [](std::string_view words) {
    return parse_config_words(words)
        ->choose({256, 1024}, DType::BFloat16)
        .encoding;
  };
  EXPECT_EQ(
      encoding("int8_dynamic_activation_int8_weight")->attributes_json(),
      R"({"act_quant_kwargs": {"_type": "QuantizeTensorToInt8Kwargs", )"
      R"("_data": {"granularity": {"_type": "PerRow", "_data": {"dim": -1}}, )"
      R"("mapping_type": {"_type": "MappingType", "_data": "SYMMETRIC"}, )"
      R"("reduce_range": false}}, "reduce_range": false, "block_size": )"
      R"([1, 1024], "dtype": {"_type": "torch.dtype", "_data": "bfloat16"}})");
  EXPECT_THAT(
      encoding("int8_dynamic_activation_int8_weight:reduce_range=true,"
               "act_mapping_type=ASYMMETRIC")
          ->attributes_json(),
      AllOf(HasSubstr(R"("_data": "ASYMMETRIC"}, "reduce_range": true)"),
            HasSubstr(R"(}}, "reduce_range": true)")));
  const auto intx = encoding(
      "intx_weight_only:weight_dtype=int4,granularity=per_group(32),"
      "scale_dtype=float32");
  EXPECT_EQ(intx->attributes_json(),
            R"({"target_dtype": {"_type": "torch.dtype", "_data": "int4"}, )"
            R"("block_size": [1, 32], "dtype": {"_type": "torch.dtype", )"
            R"("_data": "bfloat16"}, "activation_quantization": null})");
  EXPECT_EQ(intx->fields()[1].dtype, DType::Float32);
  EXPECT_EQ(intx->fields()[1].shape, (Shape{256, 32}));
  EXPECT_THAT(
      encoding("int8_dynamic_activation_intx_weight")->attributes_json(),
      HasSubstr(R"("activation_quantization": "int8_asym_per_token")"));
  EXPECT_THAT(encoding("float8_dynamic_activation_int4_weight:"
                       "int4_packing_format=plain")
                  ->attributes_json(),
              AllOf(HasSubstr("float8_e4m3fn"), HasSubstr("[1, 128]")));
  EXPECT_THAT(encoding("int4_weight_only:group_size=32")->attributes_json(),
              HasSubstr("[1, 32]"));
  EXPECT_EQ(
      encoding("float8_dynamic_activation_float8_weight:granularity=per_row")
          ->attributes_json(),
      R"({"block_size": [1, 1024], "mm_config": {"_type": "Float8MMConfig", )"
      R"("_data": {"emulate": false, "use_fast_accum": true, )"
      R"("pad_inner_dim": false}}, "act_quant_kwargs": {"_type": )"
      R"("QuantizeTensorToFloat8Kwargs", "_data": {"float8_dtype": {"_type": )"
      R"("torch.dtype", "_data": "float8_e4m3fn"}, "granularity": {"_type": )"
      R"("PerRow", "_data": {"dim": -1}}, "mm_config": null, "hp_value_lb": )"
      R"(null, "hp_value_ub": null, "kernel_preference": {"_type": )"
      R"("KernelPreference", "_data": "AUTO"}}}, "kernel_preference": )"
      R"({"_type": "KernelPreference", "_data": "AUTO"}, "dtype": {"_type": )"
      R"("torch.dtype", "_data": "bfloat16"}})");
  EXPECT_THAT(encoding("float8_dynamic_activation_float8_weight:granularity="
                       "[per_block(1x128),per_block(128x128)],"
                       "activation_value_ub=12.5,kernel_preference=torch")
                  ->attributes_json(),
              AllOf(HasSubstr(R"("use_fast_accum": false)"),
                    HasSubstr(R"("hp_value_ub": 12.5)"),
                    HasSubstr(R"("_data": "TORCH"}}}, "kernel_preference": )"
                              R"({"_type": "KernelPreference", "_data": )"
                              R"("TORCH")")));
}

}  // namespace
}  // namespace mantissa
