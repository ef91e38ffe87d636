// What the tool says about this build and this machine.

#include <filesystem>
#include <map>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "support/run_tool.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;
using support::ToolProcess;

struct State {
  std::string state;
  std::string detail;
};

std::map<std::string, State> doctor(const std::string& environment) {
  const auto result = ToolProcess({"doctor", "--json"}, {environment}).finish();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::map<std::string, State> out;
  const auto json = nlohmann::json::parse(result.out);
  for (const auto& line : json["components"]) {
    out[line["component"]] = {line["state"], line["detail"]};
  }
  return out;
}

TEST(DoctorCommand, LibtorchIsWhereTheTorchHalfIs) {
  const fs::path half = fs::path(MANTISSA_TOOL).parent_path().parent_path() /
                        "libexec/mantissa/mantissa-torch";
  const State libtorch = doctor("MANTISSA_CPU=").at("libtorch");
  EXPECT_EQ(libtorch.state, fs::exists(half) ? "ok" : "absent");
  EXPECT_THAT(libtorch.detail, ::testing::HasSubstr("mantissa-torch"));
}

TEST(DoctorCommand, TilesAreThereRefusedOrAbsent) {
  for (const char* tiles : {"AMX-INT8", "AMX-BF16"}) {
    const State amx = doctor("MANTISSA_CPU=").at(tiles);
    EXPECT_THAT(amx.state, ::testing::AnyOf("ok", "absent", "refused"));
    EXPECT_EQ(amx.detail.empty(), amx.state != "refused") << amx.detail;
    EXPECT_EQ(doctor("MANTISSA_CPU=avx512vnni").at(tiles).state, "absent");
  }
}

}  // namespace
}  // namespace mantissa
