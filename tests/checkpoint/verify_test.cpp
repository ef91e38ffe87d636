#include "checkpoint/verify.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/memory_source.h"
#include "support/torchao_source.h"

namespace mantissa {
namespace {

using support::encode_as;
using support::MemorySource;
using support::smooth_weight;
using support::TorchaoSource;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kInt4 = "int4_weight_only:group_size=32";

std::string config_with(const std::string& words,
                        const std::string& extra = "") {
  return R"({"quantization_config": {"quant_method": "torchao", )" + extra +
         R"("quant_type": {"default": )" +
         parse_config_words(words)->to_json() + "}}}";
}

EncodedTensor sample() { return encode_as(kInt4, smooth_weight({8, 64}, 0)); }

VerifyReport verify_torchao(const std::string& config,
                            const EncodedTensor& tensor) {
  TorchaoSource source(config);
  source.add("m.weight", tensor).add("m.bias", smooth_weight({8}, 1));
  return verify(source.source, {});
}

// The only finding, as "severity tensor: what".
std::string only(const VerifyReport& report) {
  EXPECT_EQ(report.findings.size(), 1U);
  if (report.findings.empty()) return "nothing";
  const Finding& finding = report.findings[0];
  return std::to_string(static_cast<int>(finding.severity)) + " " +
         finding.tensor + ": " + finding.what;
}

TEST(Verify, SoundCheckpoints) {
  MemorySource plain;
  plain.add("w", smooth_weight({3, 5}, 0))
      .add("i", HostTensor(DType::Int64, {}));
  VerifyReport report = verify(plain, {});
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.tensors, 2);
  report = verify_torchao(config_with(kInt4), sample());
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.quantized, 1);
  EXPECT_EQ(report.worst(), Severity::Note);
}

TEST(Verify, NonfiniteWeightsAreWrong) {
  HostTensor w = smooth_weight({400, 500}, 0);
  w.as<float>()[150'000] = std::numeric_limits<float>::quiet_NaN();
  MemorySource source;
  source.add("a.w", w);
  const VerifyReport report = verify(source, {});
  EXPECT_THAT(only(report), HasSubstr("1 a.w: value 150000 is NaN"));
  EXPECT_EQ(report.worst(), Severity::Wrong);
  EXPECT_THAT(verify(source, {.nonfinite = NonfinitePolicy::Allowed}).findings,
              IsEmpty());
}

TEST(Verify, NonfiniteScalesAreWrong) {
  const EncodedTensor tensor = sample();
  const std::size_t scale = 1;
  ASSERT_EQ(tensor.encoding->fields()[scale].name, "scale");
  tensor.fields[scale].as<float>()[3] = std::numeric_limits<float>::infinity();
  const VerifyReport report = verify_torchao(config_with(kInt4), tensor);
  EXPECT_THAT(
      only(report),
      AllOf(HasSubstr("1 m.weight: "), HasSubstr("scale"), HasSubstr("3")));
}

TEST(Verify, MetadataProblemsAreMalformed) {
  const EncodedTensor tensor = sample();
  TorchaoSource source(config_with(kInt4));
  source.add("m.weight", tensor);
  auto metadata = source.source.metadata();
  metadata["m.weight"] = R"({"_type": "Int4Tensor", "_data": {"shape": 7},
      "_tensor_data_names": ["qdata", "scale", "zero_point"]})";
  source.source.set_metadata(metadata);
  const VerifyReport report = verify(source.source, {});
  EXPECT_EQ(report.worst(), Severity::Malformed);
  EXPECT_THAT(only(report), HasSubstr("tensor \"m.weight\": Int4Tensor: "));
}

TEST(Verify, LeftoverAndMissingTensors) {
  TorchaoSource source;
  source.add("m.bias", smooth_weight({8}, 1));
  source.source.add("stray", smooth_weight({1}, 1));
  EXPECT_THAT(only(verify(source.source, {})),
              HasSubstr("1 stray: belongs to no tensor"));
  MemorySource missing;
  missing.set_metadata(
      {{"tensor_names", R"(["a.w"])"}, {"a.w", R"({"_type": "Tensor"})"}});
  EXPECT_THAT(only(verify(missing, {})),
              HasSubstr("1 a.w: the metadata lists it, but"));
}

TEST(Verify, TiedHeadMayBeMissing) {
  const std::string config =
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
          "tie_word_embeddings": )";
  for (const bool tied : {true, false}) {
    MemorySource source(config + (tied ? "true}" : "false}"));
    source.add("model.embed_tokens.weight", smooth_weight({4, 4}, 0))
        .set_metadata({{"tensor_names",
                        R"(["model.embed_tokens.weight", "lm_head.weight"])"},
                       {"model.embed_tokens.weight", R"({"_type": "Tensor"})"},
                       {"lm_head.weight", R"({"_type": "Tensor"})"}});
    EXPECT_EQ(verify(source, {}).worst(),
              tied ? Severity::Note : Severity::Wrong);
  }
}

TEST(Verify, ConfigMustSayWhatIsStored) {
  const EncodedTensor tensor = sample();
  EXPECT_THAT(only(verify_torchao("", tensor)),
              HasSubstr("0 : no config.json"));
  EXPECT_THAT(only(verify_torchao("{}", tensor)),
              HasSubstr("1 : config.json has no quantization_config"));
  EXPECT_THAT(
      only(verify_torchao(
          R"({"quantization_config": {"quant_method": "gptq"}})", tensor)),
      HasSubstr("expected \"torchao\", got \"gptq\""));
  EXPECT_THAT(
      only(verify_torchao(
          R"({"quantization_config": {"quant_method": "torchao"}})", tensor)),
      HasSubstr("quant_type has no \"default\""));
  EXPECT_THAT(only(verify_torchao(config_with("int4_weight_only:group_size=64"),
                                  tensor)),
              AllOf(HasSubstr("1 m.weight: attributes differ"),
                    HasSubstr("[1,64]"),
                    HasSubstr("[1,32]")));
  EXPECT_THAT(
      only(verify_torchao(
          config_with(kInt4, R"("modules_to_not_convert": ["m"], )"), tensor)),
      HasSubstr("modules_to_not_convert lists \"m\""));
  const std::string keeps =
      R"({"quantization_config": {"quant_method": "torchao", "quant_type":
          {"default": {"_type": "FqnToConfig", "_version": 1, "_data":
          {"fqn_to_config": {"m": null},
           "module_fqn_to_config": {"m": null}}}}}})";
  EXPECT_THAT(only(verify_torchao(keeps, tensor)),
              HasSubstr("but quantization_config keeps it"));
}

TEST(Verify, ConfigThatPromisesWhatIsNotThere) {
  MemorySource source(config_with(kInt4));
  source.add("m.weight", smooth_weight({4, 4}, 0));
  EXPECT_THAT(only(verify(source, {})), HasSubstr("no tensor is quantized"));
  MemorySource gptq(R"({"quantization_config": {"quant_method": "gptq"}})");
  gptq.add("m.qweight", HostTensor(DType::Int32, {4}));
  EXPECT_THAT(only(verify(gptq, {})), HasSubstr("0 : quantized with \"gptq\""));
}

}  // namespace
}  // namespace mantissa
