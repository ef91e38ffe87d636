#include "cli/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa::cli {
namespace {

// errno of the first write to stdout that failed.
int& write_error() {
  static int error = 0;
  return error;
}

void write_out(std::string_view text) {
  errno = 0;
  const std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  if (written < text.size() && write_error() == 0) write_error() = errno;
}

}  // namespace

void take_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // Read-only: writing to it fails, as it would have without it.
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDONLY);
  }
}

void print_text(std::string_view text) { write_out(printable_lines(text)); }

void print_json(std::string_view json) { write_out(json); }

void print_note(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_error(std::string_view message) {
  const std::string one(message);
  print_errors({&one, 1});
}

void print_errors(std::span<const std::string> messages) {
  constexpr std::size_t kLongest = 20'000;  // a message may quote a file
  std::string text;
  for (const std::string& message : messages) {
    text += (text.empty() ? "" : "\n") + printable(message);
  }
  const bool longer = text.size() > kLongest;
  if (longer) text = whole_characters(text.substr(0, kLongest));
  text = fmt::format("mantissa: {}{}\n", text, longer ? "..." : "");
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string json_text(const nlohmann::ordered_json& json) {
  using Handler = nlohmann::ordered_json::error_handler_t;
  return json.dump(2, ' ', false, Handler::replace) + '\n';
}

int finish_output(int code) {
  errno = 0;
  if (std::fflush(stdout) != 0 && write_error() == 0) write_error() = errno;
  if (write_error() == 0 && std::ferror(stdout) == 0) return code;
  // What the libraries print leaves no errno behind.
  const std::string why =
      write_error() == 0 ? std::string()
                         : fmt::format(": {}", std::strerror(write_error()));
  print_error(fmt::format(
      "stdout cannot be written{}; what was to be printed is lost", why));
  return code == 0 ? exit_code(ErrorKind::Target) : code;
}

}  // namespace mantissa::cli
