#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/run_tool.h"

namespace mantissa {
namespace {

using support::run_tool;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SuggestWords, NamesTheNearestCommandAndFlag) {
  const auto command = run_tool({"quantise", "model"});
  EXPECT_EQ(command.exit_code, 2);
  EXPECT_THAT(command.err, HasSubstr("did you mean quantize?"));
  const auto flag =
      run_tool({"plan", "model", "-c", "int8_weight_only", "--grop-size=32"});
  EXPECT_EQ(flag.exit_code, 2);
  EXPECT_THAT(flag.err, HasSubstr("did you mean --group-size?"));
  const auto far = run_tool({"plan", "model", "--zzzzzzzz"});
  EXPECT_EQ(far.exit_code, 2);
  EXPECT_THAT(far.err, Not(HasSubstr("did you mean")));
}

TEST(SuggestWords, NamesTheNearestConfig) {
  const auto result = run_tool({"plan", ".", "-c", "int8_weight_onyl"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("int8_weight_only"));
}

}  // namespace
}  // namespace mantissa
