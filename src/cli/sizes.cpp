#include "cli/sizes.h"

#include <algorithm>
#include <charconv>

#include <mantissa/core/error.h>

namespace mantissa::cli {

std::int64_t parse_size(const std::string& flag, const std::string& text) {
  struct Unit {
    const char* name;
    std::int64_t bytes;
  };
  constexpr Unit kUnits[] = {
      {"", 1},
      {"B", 1},
      {"KB", 1000},
      {"kB", 1000},
      {"MB", 1000000},
      {"GB", 1000000000},
      {"KiB", 1 << 10},
      {"MiB", 1 << 20},
      {"GiB", 1 << 30},
  };
  // Digits and at most nine after a point, read as one integer: exact.
  constexpr std::size_t kMostDecimals = 9;
  std::string digits = text.substr(0, text.find_first_not_of("0123456789."));
  const std::string unit = text.substr(digits.size());
  const std::size_t point = std::min(digits.find('.'), digits.size());
  const std::size_t decimals =
      point < digits.size() ? digits.size() - point - 1 : 0;
  std::int64_t parts = 1;
  if (decimals > kMostDecimals) {
    digits.clear();
  } else if (point < digits.size()) {
    for (std::size_t i = 0; i < decimals; ++i) parts *= 10;
    digits.erase(point, 1);
  }
  std::int64_t count = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), count);
  const bool whole = end == digits.data() + digits.size();
  for (const Unit& known : kUnits) {
    std::int64_t bytes = 0;
    if (error == std::errc() && whole && count > 0 && unit == known.name &&
        !__builtin_mul_overflow(count, known.bytes, &bytes) && bytes >= parts) {
      return bytes / parts;
    }
  }
  throw Error(ErrorKind::Usage,
              flag + ": expected a size such as 5GB, 500MB or 1GiB, got '" +
                  text + "'");
}

}  // namespace mantissa::cli
