#include "checkpoint/quantized_reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(QuantizedReason, PlainSourcesHaveNone) {
  EXPECT_THAT(quantized_reason(MemorySource()), IsEmpty());
  EXPECT_THAT(
      quantized_reason(MemorySource(R"({"quantization_config": null})")),
      IsEmpty());
  MemorySource plain;
  plain.add("a.weight", DType::BFloat16, {2, 2})
      .set_metadata({{"format", "pt"},
                     {"tensor_names", R"(["a.weight"])"},
                     {"a.weight", R"({"_type": "Tensor"})"}});
  EXPECT_THAT(quantized_reason(plain), IsEmpty());
  EXPECT_THAT(convert_refusal(plain), IsEmpty());
}

TEST(QuantizedReason, ConfigNamesTheMethod) {
  for (const char* method : {"torchao",
                             "compressed-tensors",
                             "gptq",
                             "awq",
                             "bitsandbytes",
                             "fp8",
                             "hqq",
                             "mxfp4"}) {
    const std::string quantization =
        std::string(R"({"quantization_config": {"quant_method": ")") + method +
        "\"}}";
    for (const std::string& config :
         {quantization, R"({"text_config": )" + quantization + "}"}) {
      EXPECT_THAT(quantized_reason(MemorySource(config)),
                  AllOf(HasSubstr("already quantized"),
                        HasSubstr(method),
                        HasSubstr("start from the original model")));
      EXPECT_THAT(convert_refusal(MemorySource(config)), HasSubstr(method));
    }
  }
  EXPECT_THAT(quantized_reason(MemorySource(
                  R"({"quantization_config": {"load_in_8bit": true}})")),
              HasSubstr("bitsandbytes"));
}

TEST(QuantizedReason, ContradictionsNameBothSides) {
  const auto conflict = [](const std::string& config, const char* type) {
    MemorySource source(config);
    source.set_metadata(
        {{"tensor_names", R"(["a.weight"])"},
         {"a.weight", std::string(R"({"_type": ")") + type + "\"}"}});
    return quantization_conflict(source);
  };
  const auto config = [](const std::string& method) {
    return R"({"quantization_config": {"quant_method": ")" + method + "\"}}";
  };
  for (const char* method : {"gptq", "awq", "compressed-tensors"}) {
    EXPECT_THAT(conflict(config(method), "Int8Tensor"),
                AllOf(HasSubstr(std::string("quant_method \"") + method + '"'),
                      HasSubstr("torchao's metadata, where \"a.weight\" is "
                                "stored as \"Int8Tensor\""),
                      HasSubstr("Remedy: ")));
    EXPECT_THAT(conflict(config(method), "Tensor"),
                HasSubstr("hold torchao's metadata: one"));
    EXPECT_THAT(quantization_conflict(MemorySource(config(method))), IsEmpty());
  }
  EXPECT_THAT(conflict(R"({"quantization_config": {"load_in_8bit": true}})",
                       "Int8Tensor"),
              HasSubstr("bitsandbytes"));
  EXPECT_THAT(conflict(config("torchao"), "Int8Tensor"), IsEmpty());
  EXPECT_THAT(conflict("{}", "Int8Tensor"), IsEmpty());
  EXPECT_THAT(conflict(R"({"quantization_config": {}})", "Int8Tensor"),
              IsEmpty());
}

TEST(QuantizedReason, TensorsGiveItAway) {
  MemorySource torchao;
  torchao.set_metadata({{"tensor_names", R"(["a.weight"])"},
                        {"a.weight", R"({"_type": "Int8Tensor"})"}});
  EXPECT_THAT(quantized_reason(torchao),
              AllOf(HasSubstr("torchao"),
                    HasSubstr("\"a.weight\""),
                    HasSubstr("\"Int8Tensor\"")));
  for (const char* name : {"a.weight_packed",
                           "a.qzeros",
                           "a.g_idx",
                           "a.weight.absmax",
                           "a.SCB",
                           "a.weight_scale_inv"}) {
    MemorySource source;
    source.add(name, DType::Int32, {2});
    EXPECT_THAT(quantized_reason(source), HasSubstr(name));
  }
}

}  // namespace
}  // namespace mantissa
