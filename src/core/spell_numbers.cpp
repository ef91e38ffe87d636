#include "core/spell_numbers.h"

#include <cmath>
#include <iterator>

#include <fmt/format.h>

namespace mantissa {

std::string format_bytes(std::int64_t bytes) {
  constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB"};
  const double size = std::abs(static_cast<double>(bytes));
  if (size < 1000) return fmt::format("{} B", bytes);
  double value = size / 1000;
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{}{:.1f} {}", bytes < 0 ? "-" : "", value, kUnits[unit]);
}

std::string format_count(std::int64_t count) {
  const std::string digits = std::to_string(count);
  const std::size_t first = count < 0 ? 1 : 0;
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string format_short(std::int64_t count) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  if (count < 1000) return std::to_string(count);
  auto value = static_cast<double>(count);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format(fmt::runtime(value < 9.95 ? "{:.1f}{}" : "{:.0f}{}"),
                     value,
                     kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) {
    return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  }
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace mantissa
