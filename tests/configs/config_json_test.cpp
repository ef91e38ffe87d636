#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

#include "support/hostile_files.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string message(std::string_view text) {
  try {
    parse_config(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    return error.what();
  }
  return "";
}

std::string rewritten(std::string_view text) {
  const ParsedConfig parsed = parse_config_json(text);
  EXPECT_THAT(parsed.warnings, IsEmpty());
  return parsed.config->to_json();
}

std::string of(std::string_view type, int version, std::string_view data) {
  return std::string(R"({"_type":")") + std::string(type) + R"(","_version":)" +
         std::to_string(version) + R"(,"_data":)" + std::string(data) + "}";
}

constexpr const char* kInt4 =
    R"({"_type":"Int4WeightOnlyConfig","_version":2,"_data":{"group_size":128,)"
    R"("set_inductor_config":true,"int4_packing_format":{"_type":)"
    R"("Int4PackingFormat","_data":"PLAIN"},"int4_choose_qparams_algorithm":)"
    R"({"_type":"Int4ChooseQParamsAlgorithm","_data":"TINYGEMM"},)"
    R"("int4_tile_packed_ntile":8}})";
constexpr const char* kInt8Group =
    R"({"_type":"Int8WeightOnlyConfig","_version":2,"_data":{"group_size":null,)"
    R"("granularity":{"_type":"PerGroup","_version":1,"_data":{"group_size":)"
    R"(128}},"set_inductor_config":true}})";
constexpr const char* kInt8Dynamic =
    R"({"_type":"Int8DynamicActivationInt8WeightConfig","_version":2,"_data":)"
    R"({"act_mapping_type":{"_type":"MappingType","_data":"SYMMETRIC"},)"
    R"("weight_only_decode":false,"granularity":{"_type":"PerRow","_version":)"
    R"(1,"_data":{"dim":-1}},"set_inductor_config":true,"reduce_range":false}})";
constexpr const char* kFloat8Dynamic =
    R"({"_type":"Float8DynamicActivationFloat8WeightConfig","_version":2,)"
    R"("_data":{"activation_dtype":{"_type":"torch.dtype","_data":)"
    R"("float8_e4m3fn"},"weight_dtype":{"_type":"torch.dtype","_data":)"
    R"("float8_e4m3fn"},"granularity":[{"_type":"PerRow","_version":1,"_data":)"
    R"({"dim":-1}},{"_type":"PerRow","_version":1,"_data":{"dim":-1}}],)"
    R"("packing_format":{"_type":"Float8PackingFormat","_data":"PLAIN"},)"
    R"("mm_config":{"_type":"Float8MMConfig","_version":1,"_data":{"emulate":)"
    R"(false,"use_fast_accum":true,"pad_inner_dim":false}},)"
    R"("activation_value_lb":null,"activation_value_ub":null,)"
    R"("kernel_preference":{"_type":"KernelPreference","_data":"AUTO"},)"
    R"("set_inductor_config":true,"alg_id":0}})";
constexpr const char* kFloat8Int4 =
    R"({"_type":"Float8DynamicActivationInt4WeightConfig","_version":1,)"
    R"("_data":{"int4_packing_format":"preshuffled"}})";
constexpr const char* kIntx =
    R"({"_type":"IntxWeightOnlyConfig","_version":2,"_data":{"weight_dtype":)"
    R"({"_type":"torch.dtype","_data":"int8"},"granularity":{"_type":"PerAxis",)"
    R"("_version":1,"_data":{"axis":0}},"mapping_type":{"_type":"MappingType",)"
    R"("_data":"SYMMETRIC"},"scale_dtype":null,"intx_packing_format":{"_type":)"
    R"("IntxPackingFormat","_data":"UNPACKED_TO_INT8"},)"
    R"("intx_choose_qparams_algorithm":{"_type":"IntxChooseQParamsAlgorithm",)"
    R"("_data":"AFFINE"}}})";
constexpr const char* kMx =
    R"({"_type":"MXDynamicActivationMXWeightConfig","_version":1,"_data":)"
    R"({"block_size":32,"activation_dtype":{"_type":"torch.dtype","_data":)"
    R"("float8_e4m3fn"},"weight_dtype":{"_type":"torch.dtype","_data":)"
    R"("float8_e4m3fn"},"kernel_preference":{"_type":"KernelPreference",)"
    R"("_data":"AUTO"},"scaling_mode":{"_type":"ScaleCalculationMode",)"
    R"("_data":"RCEIL"}}})";

TEST(ConfigJsonTest, GoldenLinesOfDefaultsAndFields) {
  EXPECT_EQ(Int4WeightOnlyConfig().to_json(), kInt4);
  EXPECT_EQ(Int8WeightOnlyConfig{{.granularity = PerGroup{128}}}.to_json(),
            kInt8Group);
  EXPECT_EQ(Int8DynamicActivationInt8WeightConfig().to_json(), kInt8Dynamic);
  EXPECT_EQ((Float8DynamicActivationFloat8WeightConfig{
                {.granularity = Granularity(PerRow{})}}
                 .to_json()),
            kFloat8Dynamic);
  EXPECT_EQ(Float8DynamicActivationInt4WeightConfig().to_json(), kFloat8Int4);
  EXPECT_EQ(IntxWeightOnlyConfig().to_json(), kIntx);
  EXPECT_EQ(MXDynamicActivationMXWeightConfig().to_json(), kMx);
  EXPECT_EQ(NF4WeightOnlyConfig().to_json(),
            of("NF4WeightOnlyConfig", 1, "{}"));
}

TEST(ConfigJsonTest, GoldenLinesReadBackToThemselves) {
  for (const char* golden : {kInt4,
                             kInt8Group,
                             kInt8Dynamic,
                             kFloat8Dynamic,
                             kFloat8Int4,
                             kIntx,
                             kMx}) {
    EXPECT_EQ(rewritten(golden), golden);
  }
}

TEST(ConfigJsonTest, EveryConfigReadsItsOwnDefaults) {
  for (const ConfigInfo& info : configs()) {
    const std::string text = info.make()->to_json();
    EXPECT_EQ(rewritten(text), text) << info.type;
    EXPECT_EQ(Json::parse(text)["_type"], info.type);
  }
}

TEST(ConfigJsonTest, BothEnumFormsAreKept) {
  const auto int4 = [](std::string_view format) {
    return rewritten(
        of("Int4WeightOnlyConfig",
           2,
           R"({"int4_packing_format":)" + std::string(format) + "}"));
  };
  EXPECT_THAT(int4(R"("tile_packed_to_4d")"),
              HasSubstr(R"("int4_packing_format":"tile_packed_to_4d")"));
  const std::string member =
      R"({"_type":"Int4PackingFormat","_data":"TILE_PACKED_TO_4D"})";
  EXPECT_THAT(int4(member), HasSubstr(member));
  // A raw member name or a value in the object is no form torchao has.
  EXPECT_THAT(int4(R"("TILE_PACKED_TO_4D")"), HasSubstr(member));
  EXPECT_THAT(
      int4(R"({"_type":"Int4PackingFormat","_data":"tile_packed_to_4d"})"),
      HasSubstr(member));
}

TEST(ConfigJsonTest, EnumAliasesAreRead) {
  EXPECT_THAT(
      rewritten(of("Float8DynamicActivationFloat8WeightConfig",
                   2,
                   R"({"packing_format":{"_type":"Float8PackingFormat",)"
                   R"("_data":"SPARSE_CUTLASS"}})")),
      HasSubstr("SPARSE_2D_DATA_2D_METADATA"));
}

TEST(ConfigJsonTest, UnknownFieldsAreWarnedOf) {
  const ParsedConfig parsed = parse_config_json(
      of("Int4WeightOnlyConfig",
         2,
         R"({"use_hqq":false,"group_size":64,"layout":null})"));
  EXPECT_THAT(parsed.warnings,
              ElementsAre("Int4WeightOnlyConfig: unknown field 'use_hqq' "
                          "ignored",
                          "Int4WeightOnlyConfig: unknown field 'layout' "
                          "ignored"));
  EXPECT_EQ(
      dynamic_cast<const Int4WeightOnlyConfig&>(*parsed.config).group_size, 64);
}

TEST(ConfigJsonTest, BadFieldsAreNamed) {
  const auto int4 = [](std::string_view data) {
    return message(of("Int4WeightOnlyConfig", 2, data));
  };
  EXPECT_EQ(int4(R"({"group_size":"128"})"),
            "Int4WeightOnlyConfig: group_size: expected an integer, got "
            "\"128\"");
  EXPECT_THAT(int4(R"({"group_size":18446744073709551615})"),
              HasSubstr("expected an integer"));
  EXPECT_THAT(int4(R"({"group_size":null})"), HasSubstr("expected an integer"));
  EXPECT_THAT(int4(R"({"set_inductor_config":1})"),
              HasSubstr("set_inductor_config: expected true or false, got 1"));
  EXPECT_THAT(int4(R"({"int4_packing_format":"weird"})"),
              HasSubstr("expected Int4PackingFormat plain, preshuffled, "
                        "plain_int32 or tile_packed_to_4d, got \"weird\""));
  EXPECT_THAT(
      int4(
          R"({"int4_packing_format":{"_type":"MappingType","_data":"PLAIN"}})"),
      HasSubstr("int4_packing_format: expected {\"_type\": "
                "\"Int4PackingFormat\""));
  const auto intx = [](std::string_view data) {
    return message(of("IntxWeightOnlyConfig", 2, data));
  };
  EXPECT_THAT(
      intx(R"({"weight_dtype":{"_type":"torch.dtype","_data":"int9"}})"),
      HasSubstr("weight_dtype: expected the name of a dtype"));
  EXPECT_THAT(intx(R"({"granularity":{"_type":"PerGroup","_data":{}}})"),
              HasSubstr("granularity: expected a granularity"));
  EXPECT_THAT(intx(R"({"granularity":{"_type":"PerWord","_data":{}}})"),
              HasSubstr("granularity: expected a granularity"));
  EXPECT_THAT(message(of("GPTQConfig", 1, R"({"percdamp":"x"})")),
              HasSubstr("percdamp: expected a number"));
  EXPECT_THAT(message(of("GPTQConfig", 1, R"({"step":1})")),
              HasSubstr("step: expected a string"));
  EXPECT_THAT(message(of("CodebookWeightOnlyConfig",
                         1,
                         R"({"block_size":3,"scale_block_size":1})")),
              HasSubstr("block_size: expected a list of integers"));
  EXPECT_THAT(message(of("Int8StaticActivationInt8WeightConfig",
                         1,
                         R"({"act_quant_scale":[1.0]})")),
              HasSubstr("expected null (JSON cannot hold a tensor)"));
}

TEST(ConfigJsonTest, MalformedTextIsNamed) {
  EXPECT_THAT(message("{"), HasSubstr("config: not JSON at byte 2"));
  EXPECT_THAT(message(R"({"_type":"Int4WeightOnlyConfig"})"),
              HasSubstr("\"_data\": ...}"));
  EXPECT_THAT(message(of("Int4WeightOnlyConfig", 2, "[]")),
              HasSubstr("_data: expected an object of fields, got []"));
  EXPECT_THAT(message(of("Int4WeightOnlyConfi", 2, "{}")),
              HasSubstr("did you mean Int4WeightOnlyConfig?"));
  EXPECT_THAT(message(of("Zebra", 1, "{}")), HasSubstr("`mantissa configs`"));
  EXPECT_THAT(message(std::string(100, '{')), HasSubstr("not JSON"));
  std::string deep = R"({"_type":"GPTQConfig","_data":)";
  for (int i = 0; i < 100; ++i) deep += R"({"a":)";
  EXPECT_THAT(message(deep), HasSubstr("nested deeper than 64 levels"));
  std::string nested = of("AWQConfig", 1, "{}");
  for (int i = 0; i < 10; ++i) {
    nested = of("AWQConfig", 1, R"({"base_config":)" + nested + "}");
  }
  EXPECT_THAT(message(nested), HasSubstr("configs are nested too deeply"));
}

TEST(ConfigJsonTest, HostileTextIsNamed) {
  for (const auto& file : support::hostile_configs()) {
    std::string what;
    try {
      const ParsedConfig parsed = parse_config(file.bytes);
      parsed.config->validate();
      make_rule_set(parsed.config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), file.kind) << file.name;
      what = error.what();
    }
    EXPECT_THAT(what, HasSubstr(file.says)) << file.name;
  }
}

TEST(ConfigVersionTest, VersionOneIsReadInTermsOfTwo) {
  const auto read = [](std::string_view type, std::string_view data) {
    const ParsedConfig parsed = parse_config_json(of(type, 1, data));
    EXPECT_EQ(parsed.warnings.size(), 1u);
    EXPECT_THAT(parsed.warnings.at(0), HasSubstr("version 1"));
    return parsed.config->to_json();
  };
  EXPECT_EQ(read("Int8WeightOnlyConfig", R"({"group_size":128})"), kInt8Group);
  EXPECT_EQ(read("Int8WeightOnlyConfig", R"({"group_size":null})"),
            Int8WeightOnlyConfig().to_json());
  EXPECT_EQ(read("Int8DynamicActivationInt8WeightConfig",
                 R"({"layout":{"_type":"PlainLayout","_data":{}}})"),
            kInt8Dynamic);
  EXPECT_EQ(read("IntxWeightOnlyConfig",
                 R"({"layout":{"_type":"QDQLayout","_data":{}}})"),
            kIntx);
  const std::string int4 = read(
      "Int4WeightOnlyConfig",
      R"({"group_size":64,"layout":{"_type":"TensorCoreTiledLayout","_data":)"
      R"({"inner_k_tiles":8}},"use_hqq":true,"preserve_zero":null})");
  EXPECT_THAT(int4, HasSubstr(R"("int4_packing_format":"tile_packed_to_4d")"));
  EXPECT_THAT(int4, HasSubstr(R"("int4_choose_qparams_algorithm":"hqq")"));
  EXPECT_THAT(int4, HasSubstr(R"("_version":2)"));
}

TEST(ConfigVersionTest, MissingVersionIsOne) {
  const ParsedConfig parsed =
      parse_config_json(R"({"_type":"Float8WeightOnlyConfig","_data":{}})");
  EXPECT_THAT(parsed.warnings, ElementsAre(HasSubstr("version 1")));
  EXPECT_THAT(parse_config_json(R"({"_type":"NF4WeightOnlyConfig","_data":{}})")
                  .warnings,
              IsEmpty());
}

TEST(ConfigVersionTest, OthersAreNamedErrors) {
  EXPECT_THAT(message(of("Int4WeightOnlyConfig", 3, "{}")),
              HasSubstr("expected version 2, got version 3; a newer torchao"));
  EXPECT_THAT(message(of("Int4WeightOnlyConfig", 0, "{}")),
              HasSubstr("its meaning is not known"));
  EXPECT_THAT(message(of("StretchedIntxWeightConfig", 1, "{}")),
              HasSubstr("its meaning is not known"));
  EXPECT_THAT(message(of("Int4WeightOnlyConfig",
                         1,
                         R"({"layout":{"_type":"MarlinSparseLayout",)"
                         R"("_data":{}}})")),
              HasSubstr("version 1 with layout MarlinSparseLayout has no"));
  EXPECT_THAT(message(of("Int8DynamicActivationInt8WeightConfig",
                         1,
                         R"({"weight_only_decode":true})")),
              HasSubstr("weight_only_decode"));
  EXPECT_THAT(message(R"({"_type":"GPTQConfig","_version":"1","_data":{}})"),
              HasSubstr("_version: expected an integer"));
}

TEST(RemovedConfigTest, ReplacementsAreNamed) {
  EXPECT_THAT(
      message(
          of("Float8DynamicActivationFloat8SemiSparseWeightConfig", 1, "{}")),
      HasSubstr("was removed from torchao; use "
                "Float8DynamicActivationFloat8WeightConfig with "
                "granularity=PerRow() and packing_format=SPARSE_CUTLASS"));
  EXPECT_THAT(message(of("GemliteUIntXWeightOnlyConfig", 1, "{}")),
              HasSubstr("use UIntxWeightOnlyConfig or"));
  EXPECT_THAT(message(of("UIntXWeightOnlyConfig", 1, "{}")),
              HasSubstr("use IntxWeightOnlyConfig"));
  EXPECT_THAT(message("UIntXWeightOnly"), HasSubstr("was removed"));
  for (const char* field : {"layout", "mapping_type"}) {
    EXPECT_THAT(message(of("Int8DynamicActivationInt4WeightConfig",
                           1,
                           R"({")" + std::string(field) + R"(":null})")),
                HasSubstr("use Int8DynamicActivationIntxWeightConfig with "
                          "weight_dtype=int4"));
  }
  EXPECT_EQ(message(of("Int8DynamicActivationInt4WeightConfig", 1, R"({})")),
            "");
  EXPECT_THAT(message(of("UIntxWeightOnlyConfig", 1, R"({"bitwidth":4})")),
              HasSubstr("torchao.experimental"));
}

TEST(CodebookTest, TwoClassesAreToldApartByFields) {
  const auto read = [](std::string_view data) {
    return parse_config_json(of("CodebookWeightOnlyConfig", 1, data)).config;
  };
  EXPECT_NE(dynamic_cast<const CodebookWeightOnlyConfig*>(
                read(R"({"block_size":[1,1],"scale_block_size":null})").get()),
            nullptr);
  EXPECT_NE(dynamic_cast<const CoremlCodebookWeightOnlyConfig*>(
                read(R"({"block_size":[2,-1]})").get()),
            nullptr);
}

TEST(FqnToConfigTest, BothFieldsAreWrittenAndKeyOrderIsKept) {
  const FqnToConfig config{{{"z", none},
                            {"re:b.*", Int4WeightOnlyConfig{}},
                            {"re-search:a", none},
                            {"_default", none}}};
  const std::string map = R"({"z":null,"re:b.*":)" + std::string(kInt4) +
                          R"(,"re:.*(?:a).*":null,"_default":null})";
  EXPECT_EQ(config.to_json(),
            of("FqnToConfig",
               1,
               R"({"fqn_to_config":)" + map + R"(,"module_fqn_to_config":)" +
                   map + "}"));
  EXPECT_EQ(rewritten(config.to_json()), config.to_json());
}

TEST(FqnToConfigTest, OldNamesAndOneFieldAreRead) {
  for (const char* type : {"ModuleFqnToConfig", "AOPerModuleConfig"}) {
    EXPECT_EQ(rewritten(of(type, 1, R"({"module_fqn_to_config":{"a":null}})")),
              (FqnToConfig{{{"a", none}}}.to_json()));
  }
  EXPECT_EQ(rewritten(of("FqnToConfig",
                         1,
                         R"({"fqn_to_config":{"a":null,"b":null},)"
                         R"("module_fqn_to_config":{"b":null,"a":null}})")),
            (FqnToConfig{{{"a", none}, {"b", none}}}.to_json()));
  EXPECT_THAT(message(of("FqnToConfig",
                         1,
                         R"({"fqn_to_config":{"a":null},)"
                         R"("module_fqn_to_config":{"b":null}})")),
              HasSubstr("fqn_to_config and module_fqn_to_config: expected the "
                        "same keys"));
}

TEST(FqnToConfigTest, RulesAndDefault) {
  const auto config = std::make_shared<FqnToConfig>(
      std::vector<FqnEntry>{{"a.weight", none},
                            {"_default", Int8WeightOnlyConfig{}},
                            {"re:b.*", Int4WeightOnlyConfig{}}});
  const RuleSet rules = make_rule_set(
      config, {{{NamePattern::parse("re:bb"), nullptr, "--ignore re:bb"}, 0}});
  EXPECT_EQ(rules.rules().size(), 3u);
  EXPECT_EQ(rules.rules()[1].rule.origin, "config key 'a.weight'");
  EXPECT_EQ(rules.decide("a.weight").config, nullptr);
  EXPECT_EQ(rules.decide("bb.weight").config, nullptr);
  EXPECT_EQ(rules.decide("bc.weight").config->type(), "Int4WeightOnlyConfig");
  EXPECT_EQ(rules.decide("c.weight").config->type(), "Int8WeightOnlyConfig");
  EXPECT_FALSE(rules.decide("c.weight").explicit_rule);
  const RuleSet plain = make_rule_set(std::make_shared<Int8WeightOnlyConfig>());
  EXPECT_TRUE(plain.rules().empty());
  EXPECT_TRUE(plain.decide("x").matched);
}

TEST(FqnToConfigTest, ValidateNamesTheKey) {
  const auto why = [](std::vector<FqnEntry> entries) {
    try {
      FqnToConfig(std::move(entries)).validate();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(why({{"a", none}, {"re:a", none}}), "");
  EXPECT_THAT(why({{"re-search:a", none}, {"re:.*(?:a).*", none}}),
              HasSubstr("key 're:.*(?:a).*': is given twice"));
  EXPECT_THAT(why({{"re:(", none}}), HasSubstr("rule 're:('"));
  EXPECT_THAT(why({{"a", FqnToConfig{}}}),
              HasSubstr("key 'a': expected a config for one tensor"));
  EXPECT_THAT(why({{"a", Int4WeightOnlyConfig{{.group_size = 0}}}}),
              HasSubstr("key 'a': Int4WeightOnlyConfig: group_size: expected "
                        "at least 1, got 0"));
  EXPECT_THROW(FqnToConfig().choose({2, 2}, DType::Float32), Error);
}

TEST(ConfigJsonTest, KeysAreCounted) {
  const auto with = [](std::size_t count) {
    std::string keys;
    for (std::size_t i = 0; i < count; ++i) {
      keys += (i == 0 ? "\"a" : ",\"a") + std::to_string(i) + "\":null";
    }
    return R"({"_type":"FqnToConfig","_version":1,"_data":{"fqn_to_config":{)" +
           keys + "}}}";
  };
  EXPECT_NE(parse_config_json(with(kMostFqnEntries)).config, nullptr);
  EXPECT_THAT(
      message(with(kMostFqnEntries + 1)),
      HasSubstr("FqnToConfig: expected at most 262144 keys, got 262145; "
                "write patterns"));
}

TEST(ConfigJsonTest, TheConfigOfAModelsConfigJson) {
  const std::string inner = Int8WeightOnlyConfig().to_json();
  const ParsedConfig parsed = parse_config(
      R"({"model_type": "llama", "quantization_config": {"quant_method":
          "torchao", "quant_type": {"default": )" +
      inner + "}}}");
  EXPECT_EQ(parsed.config->to_json(), inner);
  EXPECT_FALSE(parsed.sorted_keys);
  EXPECT_THAT(message(R"({"quantization_config": {"quant_method": "awq"}})"),
              HasSubstr("quant_method: expected \"torchao\", got \"awq\""));
  EXPECT_THAT(message(R"({"quantization_config": {"quant_method": "torchao",
                          "quant_type": "int4_weight_only"}})"),
              HasSubstr("quant_type: expected {\"default\": ...}, got "
                        "\"int4_weight_only\""));
  EXPECT_THAT(message(R"({"quantization_config": 3})"),
              HasSubstr("expected an object, got 3"));
}

TEST(ConfigJsonTest, SortedKeysAreNoticed) {
  const std::string as_torchao =
      FqnToConfig({{"re:a.*", Int8WeightOnlyConfig()}, {"re:b.*", none}})
          .to_json();
  EXPECT_FALSE(parse_config_json(as_torchao).sorted_keys)
      << "_type stands before _data";
  const std::string sorted = nlohmann::json::parse(as_torchao).dump();
  EXPECT_TRUE(parse_config_json(sorted).sorted_keys);
  EXPECT_FALSE(
      parse_config_json(
          nlohmann::json::parse(Int8WeightOnlyConfig().to_json()).dump())
          .sorted_keys)
      << "one config has no order";
}

}  // namespace
}  // namespace mantissa
