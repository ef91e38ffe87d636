#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

namespace mantissa {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

template <class F>
std::string thrown(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    return error.what();
  }
  return "";
}

std::string message(std::string_view words) {
  return thrown([&] { parse_config_words(words); });
}

TEST(ConfigWordsTest, NamesInEveryForm) {
  for (const ConfigInfo& info : configs()) {
    if (info.type == "FqnToConfig") continue;
    EXPECT_EQ(parse_config_words(info.short_name)->to_json(),
              info.make()->to_json());
    EXPECT_EQ(find_config(info.short_name), &info);
  }
  for (const char* name : {"int4_weight_only",
                           "Int4WeightOnlyConfig",
                           "Int4WeightOnly",
                           "int4_weight_only_config",
                           "INT4_WEIGHT_ONLY"}) {
    EXPECT_EQ(parse_config_words(name)->type(), "Int4WeightOnlyConfig") << name;
  }
  EXPECT_EQ(find_config("FqnToConfig")->type, "FqnToConfig");
}

TEST(ConfigWordsTest, FieldsOfEveryKind) {
  EXPECT_EQ(parse_config_words(
                "intx_weight_only:weight_dtype=int4,granularity=per_group(32)")
                ->to_json(),
            (IntxWeightOnlyConfig{
                {.weight_dtype = DType::Int4, .granularity = PerGroup{32}}}
                 .to_json()));
  EXPECT_EQ(
      parse_config_words(
          "int4_weight_only: group_size = 64, set_inductor_config=False, "
          "int4_packing_format=tile_packed_to_4d,"
          "int4_choose_qparams_algorithm=HQQ")
          ->to_json(),
      (Int4WeightOnlyConfig{
          {.group_size = 64,
           .set_inductor_config = false,
           .int4_packing_format = Int4PackingFormat::TilePackedTo4d,
           .int4_choose_qparams_algorithm = Int4ChooseQParamsAlgorithm::Hqq}}
           .to_json()));
  EXPECT_EQ(parse_config_words("float8_dynamic_activation_float8_weight:"
                               "granularity=[per_block(1x128),per_block("
                               "128x128)],activation_value_ub=2.5")
                ->to_json(),
            (Float8DynamicActivationFloat8WeightConfig{
                {.granularity = std::vector<Granularity>{PerBlock{{1, 128}},
                                                         PerBlock{{128, 128}}},
                 .activation_value_ub = 2.5}}
                 .to_json()));
  // A word keeps the form that the field has in torchao's files.
  EXPECT_THAT(parse_config_words("float8_dynamic_activation_int4_weight:"
                                 "int4_packing_format=plain")
                  ->to_json(),
              HasSubstr(R"("int4_packing_format":"plain")"));
  EXPECT_THAT(
      parse_config_words("uintx_weight_only:group_size=none")->to_json(),
      HasSubstr(R"("group_size":null)"));
}

TEST(ConfigWordsTest, EnumsInSmallLettersToo) {
  const std::string asymmetric =
      IntxWeightOnlyConfig{{.mapping_type = MappingType::Asymmetric}}.to_json();
  for (const char* word : {"ASYMMETRIC", "asymmetric", "Asymmetric"}) {
    EXPECT_EQ(
        parse_config_words("intx_weight_only:mapping_type=" + std::string(word))
            ->to_json(),
        asymmetric)
        << word;
  }
  EXPECT_EQ(message("intx_weight_only:mapping_type=lopsided"),
            "IntxWeightOnlyConfig: mapping_type: expected MappingType "
            "SYMMETRIC, SYMMETRIC_NO_CLIPPING_ERR or ASYMMETRIC, got "
            "\"lopsided\"");
  EXPECT_THAT(message("int4_weight_only:int4_packing_format=plian"),
              HasSubstr("plain, preshuffled, plain_int32 or "
                        "tile_packed_to_4d, got \"plian\""));
  // A file has torchao's spelling or is wrong.
  EXPECT_THAT(
      thrown([] {
        parse_config_json(R"({"_type": "IntxWeightOnlyConfig", "_version": 2,
            "_data": {"mapping_type": {"_type": "MappingType",
                                       "_data": "asymmetric"}}})");
      }),
      HasSubstr("expected MappingType SYMMETRIC,"));
}

TEST(ConfigWordsTest, GranularityWords) {
  EXPECT_EQ(parse_granularity("per_tensor"), Granularity(PerTensor{}));
  EXPECT_EQ(parse_granularity("PerRow()"), Granularity(PerRow{}));
  EXPECT_EQ(parse_granularity("per_row(0)"), Granularity(PerRow{0}));
  EXPECT_EQ(parse_granularity("per_axis(0)"), Granularity(PerAxis{0}));
  EXPECT_EQ(parse_granularity("per_token"), Granularity(PerToken{}));
  EXPECT_EQ(parse_granularity("PerGroup(32)"), Granularity(PerGroup{32}));
  EXPECT_EQ(parse_granularity("PerBlock([128, 128])"),
            Granularity(PerBlock{{128, 128}}));
  for (const char* bad : {"",
                          "per_group",
                          "per_group(x)",
                          "per_axis",
                          "per_group(3",
                          "per_tensor(1)",
                          "per_block()"}) {
    EXPECT_THAT(thrown([&] { parse_granularity(bad); }),
                HasSubstr("granularity: expected per_tensor"))
        << bad;
  }
}

TEST(ConfigWordsTest, TyposGetSuggestions) {
  EXPECT_THAT(message("int4_weight_onyl"),
              HasSubstr("'int4_weight_onyl' is not known; did you mean "
                        "int4_weight_only?"));
  EXPECT_EQ(message("int4_weight_only:group_siz=3"),
            "Int4WeightOnlyConfig: no field 'group_siz'; did you mean "
            "group_size? (fields: group_size, int4_choose_qparams_algorithm, "
            "int4_packing_format, int4_tile_packed_ntile, "
            "set_inductor_config)");
}

TEST(ConfigWordsTest, BadWordsAreNamed) {
  EXPECT_THAT(
      message("int4_weight_only:group_size"),
      HasSubstr(
          "Int4WeightOnlyConfig: expected field=value, got 'group_size'"));
  EXPECT_THAT(message("int4_weight_only:"), HasSubstr("expected field=value"));
  EXPECT_THAT(message("int4_weight_only:group_size=1,group_size=2"),
              HasSubstr("given twice"));
  EXPECT_THAT(message("int4_weight_only:group_size=12x"),
              HasSubstr("group_size: expected an integer, got \"12x\""));
  EXPECT_THAT(message("int4_weight_only:set_inductor_config=maybe"),
              HasSubstr("expected true or false"));
  EXPECT_THAT(message("float8_dynamic_activation_float8_weight:"
                      "activation_value_ub=big"),
              HasSubstr("expected a number"));
  EXPECT_THAT(message("awq:base_config=int4_weight_only"),
              HasSubstr("only JSON can give"));
  EXPECT_THAT(message("fqn_to_config"), HasSubstr("give a JSON file"));
}

TEST(GroupSizeTest, GoesWhereTheConfigHasIt) {
  const auto with = [](std::string_view words, std::int64_t size) {
    return with_group_size(parse_config_words(words), size)->to_json();
  };
  EXPECT_EQ(
      with("int4_weight_only:int4_tile_packed_ntile=16", 32),
      (Int4WeightOnlyConfig{{.group_size = 32, .int4_tile_packed_ntile = 16}}
           .to_json()));
  EXPECT_EQ(with("int8_weight_only", 32),
            (Int8WeightOnlyConfig{{.granularity = PerGroup{32}}}.to_json()));
  EXPECT_EQ(with("intx_weight_only", 32),
            (IntxWeightOnlyConfig{{.granularity = PerGroup{32}}}.to_json()));
  EXPECT_EQ(with("int8_dynamic_activation_intx_weight", 64),
            (Int8DynamicActivationIntxWeightConfig{
                {.weight_granularity = PerGroup{64}}}
                 .to_json()));
  EXPECT_EQ(with("float8_weight_only", 64),
            (Float8WeightOnlyConfig{{.granularity = PerGroup{64}}}.to_json()));
  EXPECT_THAT(
      thrown([&] { with("int8_dynamic_activation_int8_weight", 32); }),
      StartsWith("Int8DynamicActivationInt8WeightConfig has no group size"));
  EXPECT_THAT(
      thrown([&] { with_group_size(std::make_shared<FqnToConfig>(), 32); }),
      HasSubstr("set it in the configs it holds"));
  EXPECT_THAT(thrown([&] { with("int4_weight_only", 0); }),
              HasSubstr("at least 1"));
}

}  // namespace
}  // namespace mantissa
