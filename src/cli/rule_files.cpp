#include "cli/rule_files.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "checkpoint/input_file.h"

namespace mantissa::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLargest = 16'000'000;  // 100,000 rules have 2 MB

}  // namespace

bool names_a_file(const std::string& words) {
  if (words.find_first_of("{[") != words.npos) return false;  // JSON, lists
  if (words.ends_with(".json") || words.find('/') != words.npos) return true;
  std::error_code ignored;  // such as a name that is too long
  if (fs::is_regular_file(words, ignored)) return true;
  // A directory, such as an OUT, may have a config's name.
  return fs::is_directory(words, ignored) &&
         std::ranges::none_of(configs(), [&](const ConfigInfo& config) {
           return words == config.short_name || words == config.type;
         });
}

std::string read_rule_file(const std::string& option, const fs::path& path) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: {}: {}", option, path.string(), why));
  };
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    refuse("a directory; expected a file");
  }
  std::string text;
  try {
    text = read_text(path, kLargest);
  } catch (const Error& error) {
    throw Error(ErrorKind::Usage, fmt::format("{}: {}", option, error.what()));
  }
  if (text.starts_with("\xef\xbb\xbf")) {
    refuse("begins with a byte order mark; save it without one");
  }
  if (text.find_first_not_of(" \t\r\n") == text.npos) {
    refuse("is empty");
  }
  if (const auto zero = text.find('\0'); zero != text.npos) {
    refuse(fmt::format("not a text file: zero byte at byte {}", zero));
  }
  return text;
}

}  // namespace mantissa::cli
