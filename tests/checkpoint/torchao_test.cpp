#include "checkpoint/dialects/torchao.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

#include "support/memory_source.h"

namespace mantissa {
namespace {

using support::MemorySource;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A format with one optional field, to see the order of names.
class FakeEncoding final : public Encoding {
 public:
  FakeEncoding() : Encoding({2, 4}, DType::BFloat16) {}
  std::string_view format_name() const override { return "FakeTensor"; }
  std::vector<FieldLayout> fields() const override {
    return {{"qdata", DType::Int8, {2, 4}},
            {"scale", DType::Float32, {2, 1}},
            {"zero_point", DType::Int8, {2, 1}}};
  }
  std::size_t required_fields() const override { return 2; }
  std::string attributes_json() const override {
    return R"({"block_size": [1, 4]})";
  }
  std::unique_ptr<Encoder> make_encoder() const override { return nullptr; }
  HostTensor decode(std::span<const ConstTensorView>) const override {
    return {};
  }
  EncodedTensor slice(std::span<const ConstTensorView>,
                      std::int64_t,
                      std::int64_t,
                      std::int64_t) const override {
    return {};
  }
  EncodedTensor select(std::span<const ConstTensorView>,
                       std::int64_t) const override {
    return {};
  }
  EncodedRows rows(const RowBlock&) const override { return {}; }
};

template <class Run>
void expect_error(const Run& run, ErrorKind kind, const std::string& says) {
  try {
    run();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(says));
  }
}

TEST(TorchaoWrite, NamesFields) {
  EXPECT_EQ(torchao_field_name("a.b.weight", "qdata"), "a.b._weight_qdata");
  EXPECT_EQ(torchao_field_name("0.weight", "scale"), "0._weight_scale");
  EXPECT_EQ(torchao_field_name("a.gate_up_proj", "zero_point"),
            "a._gate_up_proj_zero_point");
}

TEST(TorchaoWrite, RefusesNamesWithoutDot) {
  expect_error([] { torchao_field_name("weight", "qdata"); },
               ErrorKind::Usage,
               "rename it, for example to \"module.weight\"");
  TorchaoMetadata metadata;
  expect_error([&] { metadata.add("weight", nullptr); },
               ErrorKind::Usage,
               "MODULE.PARAMETER");
}

TEST(TorchaoWrite, MetadataIsSpacedAsJsonDumps) {
  const FakeEncoding encoding;
  TorchaoMetadata metadata;
  metadata.add("b.weight", &encoding);
  metadata.add("a.\u00e9\"\x7f", nullptr);
  const auto map = metadata.finish();
  EXPECT_EQ(map.size(), 4U);
  EXPECT_EQ(map.at("b.weight"),
            R"({"_type": "FakeTensor", "_data": {"block_size": [1, 4]}, )"
            R"("_tensor_data_names": ["zero_point", "qdata", "scale"]})");
  EXPECT_EQ(map.at("a.\u00e9\"\x7f"), R"({"_type": "Tensor"})");
  EXPECT_EQ(map.at("tensor_names"), R"(["b.weight", "a.\u00e9\"\u007f"])");
  EXPECT_EQ(map.at("format"), "pt");
  expect_error([&] { metadata.add("b.weight", nullptr); },
               ErrorKind::Usage,
               "written twice");
}

std::map<std::string, std::string> one_entry(const std::string& entry) {
  return {{"tensor_names", R"(["a.weight"])"}, {"a.weight", entry}};
}

TEST(TorchaoRead, RecognizesItsMetadata) {
  EXPECT_TRUE(is_torchao_metadata(one_entry("{}")));
  EXPECT_FALSE(is_torchao_metadata({}));
  EXPECT_FALSE(is_torchao_metadata({{"format", "pt"}}));
  EXPECT_FALSE(is_torchao_metadata({{"tensor_names", "[]"}}));
  EXPECT_FALSE(is_torchao_metadata({{"tensor_names", "7"}}));
  EXPECT_FALSE(is_torchao_metadata({{"tensor_names", "["}}));
}

TEST(TorchaoRead, PlainMissingAndLeftoverTensors) {
  MemorySource source;
  source.add("a.weight", HostTensor(DType::Float32, {2, 3}))
      .add("a.weight_g", DType::Float32, {2})
      .set_metadata({{"tensor_names", R"(["lm_head.weight", "a.weight"])"},
                     {"lm_head.weight", R"({"_type": "Tensor"})"},
                     {"a.weight", R"({"_type": "Tensor"})"}});
  const TorchaoCheckpoint checkpoint(source);
  EXPECT_THAT(checkpoint.problems(), IsEmpty());
  EXPECT_THAT(checkpoint.missing(), ElementsAre("lm_head.weight"));
  EXPECT_THAT(checkpoint.leftovers(), ElementsAre(1U));
  ASSERT_EQ(checkpoint.tensors().size(), 1U);
  EXPECT_TRUE(checkpoint.tensors()[0].plain());
  EXPECT_EQ(checkpoint.load_dense("a.weight").shape(), (Shape{2, 3}));
  EXPECT_EQ(checkpoint.find("lm_head.weight"), nullptr);
  expect_error(
      [&] { checkpoint.load("a.weight"); }, ErrorKind::Usage, "not quantized");
  expect_error([&] { checkpoint.load("b.weight"); },
               ErrorKind::Usage,
               "not in the checkpoint");
}

TEST(TorchaoRead, BrokenListsAreRefused) {
  for (const char* names :
       {"", "{}", "[1]", R"(["a.weight", "a.weight"])", R"(["a.weight")"}) {
    MemorySource source;
    source.set_metadata({{"tensor_names", names}});
    expect_error([&] { TorchaoCheckpoint checkpoint(source); },
                 ErrorKind::Input,
                 "tensor_names");
  }
  const MemorySource source;
  expect_error([&] { TorchaoCheckpoint checkpoint(source); },
               ErrorKind::Input,
               "tensor_names is missing");
}

std::string problem_of(const std::string& entry) {
  MemorySource source;
  source.add("a._weight_qdata", DType::Int8, {2, 4})
      .set_metadata(one_entry(entry));
  const TorchaoCheckpoint checkpoint(source);
  EXPECT_EQ(checkpoint.problems().size(), 1U) << entry;
  expect_error([&] { checkpoint.require_sound(); },
               ErrorKind::Input,
               "tensor \"a.weight\": ");
  return checkpoint.problems().empty() ? "" : checkpoint.problems()[0];
}

TEST(TorchaoRead, ProblemsNameTheTensor) {
  EXPECT_THAT(problem_of("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(problem_of("{\"_type\""), HasSubstr("not a JSON object"));
  EXPECT_THAT(problem_of("{\"_type\": \"A\", \"_type\": \"A\"}"),
              HasSubstr("not a JSON object"));
  EXPECT_THAT(problem_of("{\"_type\": 3}"), HasSubstr("no _type"));
  EXPECT_THAT(problem_of(R"({"_type": "Int8Tensor"})"),
              HasSubstr("no _data object"));
  EXPECT_THAT(problem_of(R"({"_type": "Int8Tensor", "_data": {}})"),
              HasSubstr("_tensor_data_names: expected a list"));
  EXPECT_THAT(problem_of(R"({"_type": "Int8Tensor", "_data": {},
                             "_tensor_data_names": ["qdata", "qdata"]})"),
              HasSubstr("a field is named twice"));
  EXPECT_THAT(problem_of(R"({"_type": "Int8Tensor", "_data": {},
                             "_tensor_data_names": ["qdata", "scale"]})"),
              AllOf(HasSubstr("Int8Tensor: field scale is missing"),
                    HasSubstr("expected tensor \"a._weight_scale\"")));
  // What the format says begins with its name: it is not put in front again.
  EXPECT_EQ(problem_of(R"({"_type": "Int8Tensor",
                           "_data": {"block_size": [1, 4],
                                     "dtype": {"_type": "torch.dtype",
                                               "_data": "float32"}},
                           "_tensor_data_names": ["qdata"]})"),
            "tensor \"a.weight\": Int8Tensor: field 'scale' is missing");
  EXPECT_THAT(problem_of(R"({"_type": "StrangeTensor", "_data": {},
                             "_tensor_data_names": ["qdata"]})"),
              HasSubstr("StrangeTensor: this format is not available"));
  EXPECT_THAT(
      problem_of("{\"_type\": \"A\", \"_data\": {\"a\": " +
                 std::string(100000, '[') + std::string(100000, ']') + "}}"),
      HasSubstr("not a JSON object"));
  EXPECT_THAT(problem_of(std::string(2'000'000, ' ')),
              HasSubstr("the limit is"));
}

TEST(TorchaoRead, EntryAndNameMustFit) {
  MemorySource source;
  source.set_metadata({{"tensor_names", R"(["weight", "b.weight"])"},
                       {"weight", R"({"_type": "Int8Tensor", "_data": {},
                      "_tensor_data_names": ["qdata"]})"}});
  const TorchaoCheckpoint checkpoint(source);
  EXPECT_THAT(checkpoint.problems(),
              ElementsAre(HasSubstr("name without a dot"),
                          HasSubstr("the metadata has no entry")));
  EXPECT_THAT(checkpoint.tensors(), IsEmpty());
}

}  // namespace
}  // namespace mantissa
