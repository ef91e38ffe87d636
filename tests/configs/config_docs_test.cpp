#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include <mantissa/configs.h>

namespace mantissa {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string page() {
  std::ifstream file(MANTISSA_SOURCE_DIR "/docs/configs.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The text between the first fence of a kind and the next fence.
std::string fenced(const std::string& text, const std::string& fence) {
  const std::size_t begin = text.find(fence) + fence.size();
  return text.substr(begin, text.find("```", begin) - begin);
}

// The rows of a config's section, up to the next heading.
std::string section(const std::string& text, std::string_view type) {
  const std::size_t begin = text.find("### " + std::string(type) + "\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find("\n#", begin + 1) - begin);
}

TEST(ConfigDocsTest, ExamplesAreValidConfigs) {
  std::istringstream words(fenced(page(), "```\n"));
  int count = 0;
  for (std::string line; std::getline(words, line); ++count) {
    EXPECT_NO_THROW(parse_config_words(line)->validate()) << line;
  }
  EXPECT_GE(count, 7);
  const ParsedConfig by_name = parse_config_json(fenced(page(), "```json\n"));
  EXPECT_THAT(by_name.warnings, IsEmpty());
  EXPECT_NO_THROW(by_name.config->validate());
}

TEST(ConfigDocsTest, EveryConfigAndFieldIsThere) {
  const std::string text = page();
  for (const ConfigInfo& info : configs()) {
    EXPECT_THAT(text, HasSubstr(std::string(info.type)));
    if (info.availability == Availability::Later ||
        info.type == "FqnToConfig") {
      continue;
    }
    const std::string rows = section(text, info.type);
    EXPECT_THAT(rows, HasSubstr("`" + std::string(info.short_name) + "`"));
    const auto object = nlohmann::ordered_json::parse(info.make()->to_json());
    EXPECT_THAT(rows, HasSubstr("version " + object["_version"].dump()));
    std::size_t at = 0;
    for (const auto& [field, value] : object["_data"].items()) {
      const std::size_t found = rows.find("| `" + field + "` | ", at);
      EXPECT_NE(found, std::string::npos) << info.type << ": " << field;
      at = found == std::string::npos ? at : found;
      if (value.is_number() || value.is_boolean()) {
        EXPECT_EQ(rows.find("| `" + field + "` | " + value.dump() + " |"), at)
            << info.type << ": " << field;
      }
    }
  }
}

}  // namespace
}  // namespace mantissa
