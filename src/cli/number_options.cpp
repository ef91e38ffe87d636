#include "cli/number_options.h"

#include <charconv>
#include <cmath>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace mantissa::cli {
namespace {

// The whole text as a number; false when it is none or out of range.
template <class Number>
bool read_number(const std::string& text, Number& value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

}  // namespace

void expect_integer(CLI::Option& option,
                    std::int64_t least,
                    std::int64_t most) {
  option.transform(CLI::Validator(
      [least, most](std::string& text) {
        std::int64_t value = 0;
        if (read_number(text, value) && value >= least && value <= most) {
          text = std::to_string(value);  // the parser reads "010" as octal
          return std::string();
        }
        return fmt::format("expected a whole number from {} to {}, got '{}'",
                           least,
                           most,
                           text);
      },
      ""));
}

void expect_number(CLI::Option& option, double least, double most) {
  option.transform(CLI::Validator(
      [least, most](std::string& text) {
        double value = 0;
        if (read_number(text, value) && value >= least && value <= most) {
          return std::string();
        }
        return fmt::format(
            "expected a number from {} to {}, got '{}'", least, most, text);
      },
      ""));
}

void expect_workers(CLI::Option& option) {
  expect_integer(option, 1, kMostWorkers);
}

void expect_decibels(CLI::Option& option) {
  option.transform(CLI::Validator(
      [](std::string& text) {
        double value = 0;
        if (read_number(text, value) && std::isfinite(value) && value >= 0) {
          return std::string();
        }
        return fmt::format(
            "expected a number of dB from 0 up, such as 30, got '{}'", text);
      },
      ""));
}

}  // namespace mantissa::cli
