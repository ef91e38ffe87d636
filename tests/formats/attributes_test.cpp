#include "formats/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mantissa/core/error.h>

namespace mantissa::attributes {
namespace {

using ::testing::HasSubstr;

// The message of the Error(Input) that `act` must throw.
template <class Act>
std::string refusal(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Input);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(AttributesTest, WritesTorchaosSpacingAndOrder) {
  Json data;
  data["act_quant_kwargs"] =
      object("QuantizeTensorToInt8Kwargs",
             {{"granularity", granularity(PerRow{})},
              {"mapping_type", enumerator(MappingType::Symmetric)},
              {"reduce_range", false}});
  data["block_size"] = Shape{1, 1024};
  data["dtype"] = dtype(DType::BFloat16);
  data["mm_config"] = nullptr;
  EXPECT_EQ(
      dump(data),
      R"({"act_quant_kwargs": {"_type": "QuantizeTensorToInt8Kwargs", )"
      R"("_data": {"granularity": {"_type": "PerRow", "_data": {"dim": -1}}, )"
      R"("mapping_type": {"_type": "MappingType", "_data": "SYMMETRIC"}, )"
      R"("reduce_range": false}}, "block_size": [1, 1024], "dtype": )"
      R"({"_type": "torch.dtype", "_data": "bfloat16"}, "mm_config": null})");
  EXPECT_EQ(dump(Json::object()), "{}");
  EXPECT_EQ(dump(Json{{"lb", 1200.0}}), R"({"lb": 1200.0})");
}

TEST(AttributesTest, ReadsWhatItWrites) {
  for (const Granularity& value : {Granularity{PerTensor{}},
                                   Granularity{PerAxis{1}},
                                   Granularity{PerRow{-2}},
                                   Granularity{PerToken{}},
                                   Granularity{PerGroup{64}},
                                   Granularity{PerBlock{{1, 128}}}}) {
    Reader reader("T", dump(Json{{"g", granularity(value)}}));
    EXPECT_EQ(reader.granularity("g"), value);
    reader.finish();
  }
  Reader reader("T",
                dump(Json{{"d", dtype(DType::Int4)},
                          {"m", enumerator(MappingType::Asymmetric)},
                          {"k", "auto"},
                          {"s", Shape{2, 3}},
                          {"i", 7},
                          {"n", 0.5},
                          {"b", true},
                          {"t", "x"},
                          {"z", nullptr}}));
  EXPECT_EQ(reader.dtype("d"), DType::Int4);
  EXPECT_EQ(reader.enumerator<MappingType>("m"), MappingType::Asymmetric);
  EXPECT_EQ(reader.enumerator<KernelPreference>("k"), KernelPreference::Auto);
  EXPECT_EQ(reader.integers("s"), (Shape{2, 3}));
  EXPECT_EQ(reader.integer("i"), 7);
  EXPECT_EQ(reader.number("n"), 0.5);
  EXPECT_TRUE(reader.boolean("b"));
  EXPECT_EQ(reader.text("t"), "x");
  EXPECT_TRUE(reader.present("z"));
  EXPECT_FALSE(reader.has("z"));
  EXPECT_FALSE(reader.present("absent"));
  EXPECT_THAT(refusal([&] { reader.finish(); }),
              HasSubstr("T: unknown attribute 'z'"));
  reader.ignore("z");
  reader.finish();
}

TEST(AttributesTest, AbsentDimOfPerRowIsTheDefault) {
  Reader reader("T", R"({"g":{"_type":"PerRow","_data":{}}})");
  EXPECT_EQ(reader.granularity("g"), Granularity{PerRow{}});
}

TEST(AttributesTest, RefusesNamingOwnerAndAttribute) {
  EXPECT_THAT(refusal([] { Reader("T", "[1]"); }),
              HasSubstr("T: attributes: expected a JSON object, got [1]"));
  EXPECT_THAT(refusal([] { Reader("T", "{\"a\":"); }),
              HasSubstr("attributes: not JSON at byte 6"));
  EXPECT_THAT(refusal([] { Reader("T", R"({"a":1,"a":2})"); }),
              HasSubstr("repeated key \"a\""));
  EXPECT_THAT(
      refusal([] { Reader("T", std::string(40, '[') + std::string(40, ']')); }),
      HasSubstr("nested deeper than 16 levels"));
  Reader reader("T", R"({"a":{"_type":"torch.dtype","_data":"int99"},
    "g":{"_type":"PerFoo","_data":{}},"s":[1,2.5],"i":true,
    "x":{"_type":"PerRow","_data":{"dim":-1,"e":1}}})");
  EXPECT_THAT(refusal([&] { reader.dtype("a"); }),
              HasSubstr("T: a: expected a torch.dtype, got {\"_type\": "));
  EXPECT_THAT(refusal([&] { reader.dtype("q"); }),
              HasSubstr("T: q: expected a torch.dtype, got nothing"));
  EXPECT_THAT(refusal([&] { reader.granularity("g"); }),
              HasSubstr("T: g: expected a granularity"));
  EXPECT_THAT(refusal([&] { reader.integers("s"); }),
              HasSubstr("T: s: expected a list of integers, got [1, 2.5]"));
  EXPECT_THAT(refusal([&] { reader.integer("i"); }),
              HasSubstr("T: i: expected an integer, got true"));
  EXPECT_THAT(refusal([&] { reader.enumerator<MappingType>("i"); }),
              HasSubstr("T: i: expected a MappingType, got true"));
  EXPECT_THAT(refusal([&] { reader.object("s", "PerRow"); }),
              HasSubstr("T: s: expected a PerRow"));
  EXPECT_THAT(refusal([&] { reader.granularity("x"); }),
              HasSubstr("T: x: unknown attribute 'e'"));
}

}  // namespace
}  // namespace mantissa::attributes
