#include "cli/sizes.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <string_view>

#include <mantissa/core/error.h>

namespace mantissa::cli {

std::int64_t parse_size(const std::string& flag, const std::string& text) {
  struct Unit {
    std::string_view name;
    std::int64_t bytes;
  };
  constexpr Unit kUnits[] = {
      {"", 1},
      {"B", 1},
      {"KB", 1000},
      {"kB", 1000},
      {"MB", 1000000},
      {"GB", 1000000000},
      {"TB", 1000000000000},
      {"KiB", 1 << 10},
      {"MiB", 1 << 20},
      {"GiB", 1 << 30},
      {"TiB", std::int64_t{1} << 40},
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
  const auto known = std::ranges::find(kUnits, unit, &Unit::name);
  if (known != std::end(kUnits) && whole) {
    const auto bytes = static_cast<__int128>(count) * known->bytes / parts;
    if (error == std::errc::result_out_of_range ||
        bytes > std::numeric_limits<std::int64_t>::max()) {
      throw Error(ErrorKind::Usage,
                  flag + ": more bytes than any file or memory has, got '" +
                      text + "'");
    }
    if (error == std::errc() && bytes > 0) {
      return static_cast<std::int64_t>(bytes);
    }
  }
  throw Error(ErrorKind::Usage,
              flag + ": expected a size such as 5GB, 500MB or 1GiB, got '" +
                  text + "'");
}

}  // namespace mantissa::cli
