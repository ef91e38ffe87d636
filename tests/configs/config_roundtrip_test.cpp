#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include <rapidcheck/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/configs.h>
#include <mantissa/core/error.h>

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

template <class Enum>
EnumField<Enum> any_enum(std::initializer_list<Enum> values) {
  const Enum value = *rc::gen::elementOf(std::vector<Enum>(values));
  // Only str-enums have a raw form.
  const bool raw =
      *rc::gen::arbitrary<bool>() && !spelling(value).value.empty();
  return {value, raw ? EnumForm::Raw : EnumForm::Member};
}

Granularity any_granularity() {
  const auto size = *rc::gen::inRange<std::int64_t>(-4, 2048);
  return *rc::gen::element<Granularity>(PerTensor{},
                                        PerToken{},
                                        PerRow{size},
                                        PerAxis{size},
                                        PerGroup{size},
                                        PerBlock{{1, size}});
}

DType any_dtype() {
  return static_cast<DType>(
      *rc::gen::inRange(0, static_cast<int>(DType::UInt7) + 1));
}

template <class T, class Make>
std::optional<T> maybe(Make make) {
  if (*rc::gen::arbitrary<bool>()) return std::nullopt;
  return make();
}

std::int64_t any_int() { return *rc::gen::arbitrary<std::int64_t>(); }
bool any_bool() { return *rc::gen::arbitrary<bool>(); }

ConfigPtr any_int4() {
  Int4WeightOnlyConfig config;
  config.group_size = any_int();
  config.set_inductor_config = any_bool();
  config.int4_packing_format = any_enum({Int4PackingFormat::Plain,
                                         Int4PackingFormat::Preshuffled,
                                         Int4PackingFormat::PlainInt32,
                                         Int4PackingFormat::TilePackedTo4d});
  config.int4_choose_qparams_algorithm = any_enum(
      {Int4ChooseQParamsAlgorithm::Tinygemm, Int4ChooseQParamsAlgorithm::Hqq});
  config.int4_tile_packed_ntile = any_int();
  return std::make_shared<Int4WeightOnlyConfig>(config);
}

ConfigPtr any_int8() {
  Int8WeightOnlyConfig config;
  config.group_size = maybe<std::int64_t>(any_int);
  config.granularity = maybe<Granularity>(any_granularity);
  return std::make_shared<Int8WeightOnlyConfig>(config);
}

ConfigPtr any_int8_dynamic() {
  Int8DynamicActivationInt8WeightConfig config;
  config.granularity =
      *rc::gen::element<Granularities>(std::monostate(), any_granularity());
  if (any_bool()) {
    config.granularity = std::vector<Granularity>(
        *rc::gen::inRange<std::size_t>(0, 4), any_granularity());
  }
  config.reduce_range = maybe<bool>(any_bool);
  config.act_mapping_type = maybe<EnumField<MappingType>>([] {
    return any_enum({MappingType::Symmetric, MappingType::Asymmetric});
  });
  return std::make_shared<Int8DynamicActivationInt8WeightConfig>(config);
}

ConfigPtr any_intx() {
  IntxWeightOnlyConfig config;
  config.weight_dtype = any_dtype();
  config.granularity = any_granularity();
  config.scale_dtype = maybe<DType>(any_dtype);
  config.intx_packing_format = any_enum({IntxPackingFormat::UnpackedToInt8,
                                         IntxPackingFormat::OpaqueTorchaoAuto});
  return std::make_shared<IntxWeightOnlyConfig>(config);
}

ConfigPtr any_float8() {
  Float8DynamicActivationFloat8WeightConfig config;
  config.activation_dtype = any_dtype();
  config.granularity =
      std::vector<Granularity>{any_granularity(), any_granularity()};
  config.mm_config = Float8MMConfig{any_bool(), any_bool(), any_bool()};
  config.activation_value_ub = maybe<double>(
      [] { return static_cast<double>(*rc::gen::arbitrary<int>()) / 3; });
  config.packing_format = maybe<EnumField<Float8PackingFormat>>([] {
    return any_enum({Float8PackingFormat::Plain,
                     Float8PackingFormat::Sparse1dData1dMetadata});
  });
  config.alg_id = any_int();
  return std::make_shared<Float8DynamicActivationFloat8WeightConfig>(config);
}

ConfigPtr any_config() {
  switch (*rc::gen::inRange(0, 5)) {
    case 0:
      return any_int4();
    case 1:
      return any_int8();
    case 2:
      return any_int8_dynamic();
    case 3:
      return any_intx();
    default:
      return any_float8();
  }
}

ConfigPtr read(const std::string& text) {
  const ParsedConfig parsed = parse_config_json(text);
  RC_ASSERT(parsed.warnings.empty());
  return parsed.config;
}

RC_GTEST_PROP(ConfigRoundTrip, ConfigsReadBackToTheSameText, ()) {
  const std::string text = any_config()->to_json();
  RC_ASSERT(read(text)->to_json() == text);
}

RC_GTEST_PROP(ConfigRoundTrip, WrappedConfigsReadBackToTheSameText, ()) {
  AWQConfig awq;
  awq.base_config = any_config();
  awq.step = any_enum({QuantizationStep::Prepare, QuantizationStep::Convert});
  awq.step.form = EnumForm::Raw;
  const std::string text = awq.to_json();
  RC_ASSERT(read(text)->to_json() == text);
}

RC_GTEST_PROP(ConfigRoundTrip, NamesKeepOrderAndText, ()) {
  FqnToConfig config;
  const auto names =
      *rc::gen::unique<std::vector<std::string>>(rc::gen::nonEmpty(
          rc::gen::container<std::string>(rc::gen::inRange(' ', '~'))));
  for (const std::string& name : names) {
    RC_PRE(NamePattern::parse(name).syntax == NamePattern::Syntax::Exact);
    config.fqn_to_config.emplace_back(name,
                                      any_bool() ? any_config() : nullptr);
  }
  const std::string text = config.to_json();
  RC_ASSERT(read(text)->to_json() == text);
  std::vector<std::string> keys;
  const Json fields = Json::parse(text)["_data"]["fqn_to_config"];
  for (auto it = fields.begin(); it != fields.end(); ++it) {
    keys.push_back(it.key());
  }
  RC_ASSERT(keys == names);
}

RC_GTEST_PROP(ConfigRoundTrip, DamagedTextIsAnErrorOrAConfig, ()) {
  std::string text = any_config()->to_json();
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  text[at] = *rc::gen::arbitrary<char>();
  try {
    parse_config_json(text).config->to_json();
  } catch (const Error& error) {
    RC_ASSERT(error.kind() == ErrorKind::Usage);
  }
}

RC_GTEST_PROP(ConfigRoundTrip, AnyWordsAreAnErrorOrAConfig, ()) {
  const auto names = configs();
  const std::string name(
      names[*rc::gen::inRange<std::size_t>(0, names.size())].short_name);
  const std::string words =
      name + ":" +
      *rc::gen::container<std::string>(
          *rc::gen::inRange(0, 30),
          rc::gen::elementOf(std::string("group_size=,[]()0123x_ none")));
  try {
    parse_config(words).config->to_json();
  } catch (const Error& error) {
    RC_ASSERT(error.kind() == ErrorKind::Usage);
  }
}

}  // namespace
}  // namespace mantissa
