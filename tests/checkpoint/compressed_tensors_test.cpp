#include "checkpoint/dialects/compressed_tensors.h"

#include <chrono>
#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/convert_rules.h"
#include "checkpoint/decoded_source.h"
#include "checkpoint/logical_checkpoint.h"
#include "checkpoint/plan.h"
#include "checkpoint/quantized_reason.h"
#include "support/cpu_clock.h"
#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Json = nlohmann::ordered_json;

HostTensor weight(const Shape& shape) {
  HostTensor values(DType::Float32, shape);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    values.as<float>()[i] = static_cast<float>(std::sin(i * 3.0 + 1));
  }
  return converted(values.view(), DType::BFloat16);
}

Json group(const CompressedSpec& spec, std::vector<std::string> targets) {
  Json out = Json::parse(compressed_scheme_json(spec));
  out["targets"] = std::move(targets);
  return out;
}

std::string config(const Json& groups, Json extra = Json::object()) {
  Json quantization = {{"quant_method", "compressed-tensors"},
                       {"format", "pack-quantized"},
                       {"quantization_status", "compressed"},
                       {"ignore", {"lm_head"}},
                       {"config_groups", groups}};
  quantization.update(extra);
  return Json{{"quantization_config", quantization}}.dump();
}

const CompressedSpec kW4 = {.group_size = 32};

// Adds the fields of an encoded weight of a module.
void add_fields(MemorySource& source,
                const std::string& module,
                const CompressedSpec& spec,
                const HostTensor& w) {
  const EncodedTensor encoded =
      encode(make_compressed_encoding(w.shape(), w.dtype(), spec), w.view());
  const auto layouts = encoded.encoding->fields();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    source.add(module + "." + layouts[i].name, encoded.fields[i]);
  }
}

bool same(const HostTensor& a, const HostTensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::equal(a.view().bytes().begin(),
                    a.view().bytes().end(),
                    b.view().bytes().begin());
}

HostTensor decoded(const CompressedSpec& spec, const HostTensor& w) {
  return encode(make_compressed_encoding(w.shape(), w.dtype(), spec), w.view())
      .decode();
}

TEST(CompressedTensors, ReadsWhatItWrites) {
  const HostTensor w = weight({40, 64});
  CompressedSpec asymmetric = kW4;
  asymmetric.symmetric = false;
  asymmetric.num_bits = 3;
  MemorySource source(config({{"group_0", group(kW4, {"Linear"})},
                              {"group_1", group(asymmetric, {"a.odd"})}}));
  add_fields(source, "a.proj", kW4, w);
  add_fields(source, "a.odd", asymmetric, w);
  source.add("a.proj.input_scale", HostTensor(DType::BFloat16, {1}))
      .add("a.k_scale", HostTensor(DType::BFloat16, {1}))
      .add("norm.weight", weight({64}));
  const LogicalCheckpoint checkpoint(source, TensorNames::Stored);
  ASSERT_NE(checkpoint.dialect(), nullptr);
  EXPECT_EQ(checkpoint.dialect()->name(), "compressed-tensors");
  const DialectCheckpoint& quantized = *checkpoint.quantized();
  EXPECT_THAT(quantized.problems(), IsEmpty());
  EXPECT_THAT(quantized.leftovers(), IsEmpty());
  EXPECT_TRUE(same(quantized.load_dense("a.proj.weight"), decoded(kW4, w)));
  EXPECT_TRUE(
      same(quantized.load_dense("a.odd.weight"), decoded(asymmetric, w)));
  ASSERT_NE(quantized.find("a.proj.input_scale"), nullptr);
  EXPECT_TRUE(quantized.find("a.k_scale")->plain());
  EXPECT_THAT(verify(source, {}).findings, IsEmpty());
}

// compressed-tensors before 0.18: ten codes of three bits in a word.
TEST(CompressedTensors, ReadsPaddedWords) {
  CompressedSpec spec{.num_bits = 3, .strategy = CompressedStrategy::Channel};
  HostTensor packed(DType::Int32, {1, 4});
  for (std::int64_t i = 0; i < 32; ++i) {
    const auto code = static_cast<std::uint32_t>(i % 8);
    packed.as<std::uint32_t>()[i / 10] |= code << (i % 10 * 3);
  }
  HostTensor scale(DType::Float32, {1, 1});
  scale.as<float>()[0] = 0.5f;
  HostTensor shape(DType::Int32, {2});
  shape.as<std::int32_t>()[0] = 1;
  shape.as<std::int32_t>()[1] = 32;
  MemorySource source(config({{"group_0", group(spec, {"re:.*proj"})}}));
  source.add("m.proj.weight_packed", packed)
      .add("m.proj.weight_scale", scale)
      .add("m.proj.weight_shape", shape);
  const CompressedCheckpoint checkpoint(source);
  ASSERT_THAT(checkpoint.problems(), IsEmpty());
  const HostTensor values = checkpoint.load_dense("m.proj.weight");
  for (std::int64_t i = 0; i < 32; ++i) {
    EXPECT_EQ(values.as<float>()[i], static_cast<float>(i % 8 - 4) * 0.5f);
  }
}

// Exact names, then expressions by their text, then classes.
TEST(CompressedTensors, FindsGroupsAsCompressedTensorsDoes) {
  CompressedSpec spec = kW4;
  Json groups;
  for (const auto& [bits, target] :
       std::vector<std::pair<int, std::string>>{{2, "Linear"},
                                                {3, "re:.*q_proj"},
                                                {4, "re:.*a.*"},
                                                {5, "b.a.q_proj"}}) {
    spec.num_bits = bits;
    groups["group_" + std::to_string(bits)] = group(spec, {target});
  }
  const CompressedGroups found(compressed_quantization(config(groups)));
  EXPECT_EQ(found.find("b.a.q_proj")->spec.num_bits, 5);
  EXPECT_EQ(found.find("x.a.q_proj")->spec.num_bits, 4);  // 'a' before 'q'
  EXPECT_EQ(found.find("x.q_proj")->spec.num_bits, 3);
  EXPECT_EQ(found.find("x.q_proj.more")->spec.num_bits, 3);  // open end
  EXPECT_EQ(found.find("x.k_proj")->spec.num_bits, 2);
  EXPECT_TRUE(found.ignores("lm_head"));
}

// apply_quantization_config() keeps one scheme a target: the last.
TEST(CompressedTensors, TheLastGroupOfATargetHasIt) {
  CompressedSpec spec = kW4;
  Json groups;
  for (const int bits : {2, 3}) {
    spec.num_bits = bits;
    groups["group_" + std::to_string(bits)] =
        group(spec, {"Linear", "re:.*q_proj", "a.k_proj"});
  }
  spec.num_bits = 5;
  groups["group_5"] = group(spec, {"b.v_proj"});
  const CompressedGroups found(compressed_quantization(config(groups)));
  EXPECT_EQ(found.find("a.o_proj")->spec.num_bits, 3);
  EXPECT_EQ(found.find("a.q_proj")->spec.num_bits, 3);
  EXPECT_EQ(found.find("a.k_proj")->spec.num_bits, 3);
  EXPECT_EQ(found.find("b.v_proj")->spec.num_bits, 5);
  EXPECT_EQ(found.named("a.o_proj"), nullptr);
  EXPECT_EQ(found.all().size(), 3U);
}

TEST(CompressedTensors, FindsManyModulesInLinearTime) {
  constexpr int kModules = 50'000;
  std::vector<std::string> names;
  for (int i = 0; i < kModules; ++i) names.push_back(fmt::format("m.{}", i));
  const Json quantization = compressed_quantization(
      config({{"group_0", group(kW4, names)}}, {{"ignore", names}}));
  const auto before = support::CpuClock::now();
  const CompressedGroups groups(quantization);
  for (const std::string& name : names) {
    ASSERT_NE(groups.find(name), nullptr);
    ASSERT_TRUE(groups.ignores(name));
  }
  EXPECT_LT(support::CpuClock::now() - before, std::chrono::seconds(2));
}

// What reading the groups of a quantization_config says.
std::string refusal(const Json& groups, const Json& ignore = Json::array()) {
  try {
    const CompressedGroups read(
        Json{{"config_groups", groups}, {"ignore", ignore}});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    return error.what();
  }
  return "";
}

TEST(CompressedTensors, NumbersOutOfRangeAreRefused) {
  Json one = group(kW4, {"Linear"});
  EXPECT_EQ(refusal({{"g", one}}), "");
  for (const Json& bits : {Json(1e300), Json(4294967300), Json("4")}) {
    one["weights"]["num_bits"] = bits;
    EXPECT_THAT(refusal({{"g", one}}), HasSubstr("num_bits: got \""));
  }
  one["weights"]["num_bits"] = 4;
  one["weights"]["group_size"] = -1e300;
  EXPECT_THAT(refusal({{"g", one}}), HasSubstr("group_size: got \"-1e+300\""));
}

TEST(CompressedTensors, ArgumentsAreObjectsOrNull) {
  for (const char* key :
       {"weights", "input_activations", "output_activations"}) {
    Json one = group(kW4, {"Linear"});
    one[key] = nullptr;
    EXPECT_EQ(refusal({{"g", one}}), "") << key;
    for (const Json& other : {Json("int8"), Json(true), Json::array()}) {
      one[key] = other;
      EXPECT_THAT(refusal({{"g", one}}),
                  HasSubstr(fmt::format("config_groups: {}: expected an object "
                                        "of arguments or null, got \"",
                                        key)));
    }
  }
  Json only = group(kW4, {"Linear"});
  only["weights"] = nullptr;
  only["input_activations"] = {{"num_bits", 8}};
  const CompressedGroups groups(Json{{"config_groups", {{"g", only}}}});
  EXPECT_FALSE(groups.find("m")->weights);
  EXPECT_EQ(groups.find("m")->spec.input_activations, R"({"num_bits":8})");
}

TEST(CompressedTensors, ExpressionsAreBounded) {
  std::vector<std::string> ignore(2048, "");
  for (std::size_t i = 0; i < ignore.size(); ++i) {
    ignore[i] = fmt::format("re:.*a{}", i);
  }
  const Json groups = {{"g", group(kW4, {"Linear"})}};
  EXPECT_EQ(refusal(groups, ignore), "");
  ignore.push_back("re:.*b");
  EXPECT_THAT(refusal(groups, ignore), HasSubstr("more than 2048 expressions"));
  EXPECT_THAT(refusal(groups, {"re:" + std::string(5000, 'a')}),
              HasSubstr("has 5003 bytes, expected at most 4096"));
  std::string large = "re:";
  for (int i = 0; i < 20; ++i) large += "(a{100}){10}";
  EXPECT_THAT(refusal(groups, {large}),
              HasSubstr("is not supported: pattern too large"));
  for (std::size_t i = 0; i < 300; ++i) {
    ignore[i] = fmt::format("re:a{{1000}}{}", i);
  }
  ignore.resize(300);
  EXPECT_THAT(refusal(groups, ignore),
              HasSubstr("is too large together with the others"));
}

TEST(CompressedTensors, ListsWhatIsMalformed) {
  const HostTensor w = weight({8, 64});
  Json later = group(kW4, {"m.later"});
  later["format"] = "nvfp4-pack-quantized";
  MemorySource source(
      config({{"group_0", group(kW4, {"re:m\\.[a-k]"})}, {"group_1", later}}));
  source.add("m.a.weight_scale", HostTensor(DType::BFloat16, {8, 2}));
  add_fields(source, "m.later", kW4, w);
  add_fields(source, "m.zone", kW4, w);
  add_fields(source, "m.b", kW4, w);
  source.add("m.b.weight_zero_point", HostTensor(DType::Int8, {8, 2}));
  add_fields(source, "m.c", {.group_size = 16}, w);
  const CompressedCheckpoint checkpoint(source);
  const auto& problems = checkpoint.problems();
  EXPECT_EQ(problems.size(), 4U);
  EXPECT_THAT(problems,
              Contains(HasSubstr("\"m.a.weight\": pack-quantized: "
                                 "field 'weight_packed'")));
  EXPECT_THAT(problems, Contains(HasSubstr("nvfp4-pack-quantized")));
  EXPECT_THAT(problems, Contains(HasSubstr("no group of config.json")));
  EXPECT_THAT(problems,
              Contains(HasSubstr("expected BF16 [8, 2], got BF16 "
                                 "[8, 4]")));
  ASSERT_EQ(checkpoint.leftovers().size(), 1U);
  EXPECT_EQ(source.tensors()[checkpoint.leftovers()[0]].name,
            "m.b.weight_zero_point");
  EXPECT_THROW(checkpoint.load("m.a.weight"), Error);
}

// Codes without their scale are no weights, whatever has lost it.
TEST(CompressedTensors, NamesCodesWhoseScaleIsLost) {
  const HostTensor w = weight({8, 64});
  Json int8 = group({.format = CompressedFormat::IntQuantized,
                     .num_bits = 8,
                     .strategy = CompressedStrategy::Channel},
                    {"m.b"});
  MemorySource source(
      config({{"group_0", group(kW4, {"m.a"})}, {"group_1", int8}}));
  MemorySource whole(config({{"group_0", group(kW4, {"m.a"})}}));
  add_fields(whole, "m.a", kW4, w);
  for (const SourceTensor& tensor : whole.tensors()) {
    if (tensor.name == "m.a.weight_scale") continue;
    HostTensor values(tensor.dtype, tensor.shape);
    source.add(tensor.name, values);
  }
  source.add("m.b.weight", HostTensor(DType::Int8, {8, 64}));
  source.add("m.c.weight", HostTensor(DType::Int8, {8, 64}));  // no group's
  const CompressedCheckpoint checkpoint(source);
  EXPECT_EQ(checkpoint.problems().size(), 2U);
  EXPECT_THAT(checkpoint.problems(),
              Contains(HasSubstr("\"m.a.weight\": pack-quantized: field "
                                 "'weight_scale'")));
  EXPECT_THAT(checkpoint.problems(),
              Contains(HasSubstr("\"m.b.weight\": int-quantized: field "
                                 "'weight_scale'")));
  EXPECT_TRUE(checkpoint.find("m.c.weight")->plain());
}

TEST(CompressedTensors, VerifiesItsConfig) {
  const HostTensor w = weight({8, 64});
  MemorySource source(
      config({{"group_0", group(kW4, {"Linear"})}},
             {{"quantization_status", nullptr}, {"ignore", {"re:m.*"}}}));
  add_fields(source, "m.proj", kW4, w);
  std::string all;
  for (const Finding& finding : verify(source, {}).findings) {
    all += finding.what + "\n";
  }
  EXPECT_THAT(all, HasSubstr("initializes the quantized weights anew"));
  EXPECT_THAT(all, HasSubstr("ignore lists it"));
  EXPECT_THAT(all, HasSubstr("lm_head is a Linear"));
  EXPECT_THAT(quantized_reason(source), HasSubstr("compressed-tensors"));
}

// Decoded, and carried into torchao's form, block by block.
TEST(CompressedTensors, ConvertsWithoutAChange) {
  const HostTensor w = weight({70, 64});
  CompressedSpec spec = kW4;
  spec.symmetric = false;
  auto stored = std::make_unique<MemorySource>(
      config({{"group_0", group(spec, {"Linear"})}}));
  add_fields(*stored, "m.proj", spec, w);
  stored->add("m.proj.input_scale", HostTensor(DType::BFloat16, {1}));
  const DecodedSource source(std::move(stored),
                             *find_dialect("compressed-tensors"),
                             SideTensors::Drop);
  ASSERT_EQ(source.tensors().size(), 1U);
  EXPECT_EQ(source.config_json().find("quantization_config"),
            std::string::npos);
  HostTensor rows(DType::BFloat16, {9, 64});
  source.read_rows(0, 29, 9, rows.mutable_view().bytes());
  const HostTensor whole = decoded(spec, w);
  EXPECT_TRUE(std::equal(rows.view().bytes().begin(),
                         rows.view().bytes().end(),
                         whole.data() + 29 * 64 * 2));
  const RuleSet rules = convert_rules(source, *find_dialect("torchao"));
  PlanRequest request;
  request.rules = &rules;
  request.allow_unknown_names = true;
  const Plan plan = make_plan(source, request);
  ASSERT_THAT(plan.problems, IsEmpty());
  ASSERT_EQ(plan.tensors.size(), 1U);
  const auto& encoding = plan.tensors[0].encoding;
  EXPECT_EQ(encoding->format_name(), "IntxUnpackedToInt8Tensor");
  EXPECT_TRUE(same(encode(encoding, whole.view()).decode(), whole));
}

// Members that are null are absent, and those of other types no surprise.
TEST(CompressedTensors, ConvertsOddActivationsOrSaysWhyNot) {
  const auto converted_with = [](const std::string& activations) {
    CompressedSpec spec{.format = CompressedFormat::IntQuantized,
                        .num_bits = 8,
                        .strategy = CompressedStrategy::Channel};
    spec.input_activations = activations;
    auto stored = std::make_unique<MemorySource>(
        config({{"group_0", group(spec, {"Linear"})}}));
    add_fields(*stored, "m.proj", spec, weight({8, 64}));
    const DecodedSource source(std::move(stored),
                               *find_dialect("compressed-tensors"),
                               SideTensors::Drop);
    try {
      convert_rules(source, *find_dialect("torchao"));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(converted_with(R"({"dynamic":true,"strategy":"token",)"
                           R"("num_bits":null,"type":null,"symmetric":null})"),
            "");
  EXPECT_THAT(converted_with(R"({"dynamic":true,"num_bits":1e300})"),
              HasSubstr("input_activations.num_bits is \"1e+300\""));
  EXPECT_THAT(converted_with(R"({"dynamic":true,"type":7})"),
              HasSubstr("input_activations.type is \"7\""));
  EXPECT_THAT(converted_with(R"({"dynamic":"yes"})"),
              HasSubstr("input_activations.dynamic is \"yes\""));
  EXPECT_THAT(converted_with(R"({"dynamic":false})"), HasSubstr("static"));
}

// torchao's blocks of 128 columns share no scale with groups of another size.
TEST(CompressedTensors, BlocksOfFloat8WantGroupsOf128) {
  for (const int size : {64, 128}) {
    CompressedSpec spec{.format = CompressedFormat::FloatQuantized,
                        .num_bits = 8,
                        .floating = true,
                        .strategy = CompressedStrategy::Block,
                        .block_rows = 128,
                        .block_columns = 128};
    spec.input_activations =
        R"({"type":"float","strategy":"group","dynamic":true,"group_size":)" +
        std::to_string(size) + "}";
    auto stored = std::make_unique<MemorySource>(
        config({{"group_0", group(spec, {"Linear"})}}));
    add_fields(*stored, "m.proj", spec, weight({128, 256}));
    const DecodedSource source(std::move(stored),
                               *find_dialect("compressed-tensors"),
                               SideTensors::Drop);
    std::string refused;
    try {
      convert_rules(source, *find_dialect("torchao"));
    } catch (const Error& error) {
      refused = error.what();
    }
    EXPECT_EQ(refused.empty(), size == 128) << refused;
    EXPECT_THAT(refused, HasSubstr(size == 128 ? "" : "group(64) activations"));
  }
}

// From an old layout to the new one: static scales and the cache's stay.
TEST(CompressedTensors, KeepsScalesOfActivationsAndCache) {
  const Json cache = {{"num_bits", 8}, {"type", "float"}};
  CompressedSpec spec = kW4;
  spec.input_activations = R"({"num_bits":8,"type":"float","dynamic":false})";
  auto stored = std::make_unique<MemorySource>(config(
      {{"group_0", group(spec, {"Linear"})}}, {{"kv_cache_scheme", cache}}));
  add_fields(*stored, "m.proj", spec, weight({8, 64}));
  stored->add("m.proj.input_scale", HostTensor(DType::BFloat16, {1}))
      .add("m.k_scale", HostTensor(DType::BFloat16, {1}));
  const Dialect& dialect = *find_dialect("compressed-tensors");
  const DecodedSource source(std::move(stored), dialect, SideTensors::Keep);
  const RuleSet rules = convert_rules(source, dialect);
  PlanRequest request;
  request.rules = &rules;
  request.dialect = &dialect;
  request.allow_unknown_names = true;
  const Plan plan = make_plan(source, request);
  ASSERT_THAT(plan.problems, IsEmpty());
  ASSERT_EQ(plan.texts.size(), 1U);
  const Json written =
      Json::parse(plan.texts[0].text).at("quantization_config");
  EXPECT_EQ(written.at("kv_cache_scheme"), cache);
  EXPECT_EQ(written.at("config_groups")
                .at("group_0")
                .at("input_activations")
                .at("dynamic"),
            false);
  std::vector<std::string> names;
  for (const PlannedTensor& planned : plan.tensors) {
    for (const FileTensor& file : planned.outputs) names.push_back(file.name);
  }
  EXPECT_THAT(names,
              testing::UnorderedElementsAre("m.proj.weight_packed",
                                            "m.proj.weight_scale",
                                            "m.proj.weight_shape",
                                            "m.proj.input_scale",
                                            "m.k_scale"));
}

}  // namespace
}  // namespace mantissa
