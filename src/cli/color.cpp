#include "cli/color.h"

#include <unistd.h>

#include <cstdlib>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa::cli {
namespace {

std::string attributed(int code, std::string_view text, bool on) {
  return on ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

bool wants_color(std::string_view mode, int descriptor) {
  if (mode == "always") return true;
  if (mode == "never") return false;
  if (mode != "auto") {
    throw Error(
        ErrorKind::Usage,
        fmt::format("--color: expected auto, always or never, got '{}'", mode));
  }
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && std::string_view(terminal) == "dumb";
  return !is_set("NO_COLOR") && !dumb && ::isatty(descriptor) == 1;
}

std::string bold(std::string_view text, bool on) {
  return attributed(1, text, on);
}
std::string dim(std::string_view text, bool on) {
  return attributed(2, text, on);
}
std::string yellow(std::string_view text, bool on) {
  return attributed(33, text, on);
}

}  // namespace mantissa::cli
