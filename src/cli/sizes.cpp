#include "cli/sizes.h"

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
      {"MB", 1000000},
      {"GB", 1000000000},
      {"KiB", 1 << 10},
      {"MiB", 1 << 20},
      {"GiB", 1 << 30},
  };
  std::int64_t count = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string unit(end, text.data() + text.size());
  for (const Unit& known : kUnits) {
    std::int64_t bytes = 0;
    if (error == std::errc() && count > 0 && unit == known.name &&
        !__builtin_mul_overflow(count, known.bytes, &bytes)) {
      return bytes;
    }
  }
  throw Error(ErrorKind::Usage,
              flag + ": expected a size such as 5GB, 500MB or 1GiB, got '" +
                  text + "'");
}

}  // namespace mantissa::cli
