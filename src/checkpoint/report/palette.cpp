#include "checkpoint/report/palette.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace mantissa::report {
namespace {

using Rgb = std::array<double, 3>;

// cividis (Nunez, Anderton, Renslow 2018) at equal steps.
constexpr std::array<Rgb, 10> kCividis = {{
    {0, 34, 78},
    {18, 53, 112},
    {59, 73, 108},
    {87, 93, 109},
    {112, 113, 115},
    {138, 134, 120},
    {165, 156, 116},
    {195, 179, 105},
    {225, 204, 85},
    {254, 232, 56},
}};

Rgb rgb_at(double position) {
  const double x =
      std::clamp(position, 0.0, 1.0) * static_cast<double>(kCividis.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(x), kCividis.size() - 2);
  const double t = x - static_cast<double>(i);
  Rgb out{};
  for (std::size_t c = 0; c < 3; ++c) {
    out[c] = std::round(kCividis[i][c] * (1 - t) + kCividis[i + 1][c] * t);
  }
  return out;
}

// WCAG 2 relative luminance.
double luminance(const Rgb& rgb) {
  constexpr Rgb kWeights = {0.2126, 0.7152, 0.0722};
  double sum = 0;
  for (std::size_t c = 0; c < 3; ++c) {
    const double s = rgb[c] / 255;
    sum += kWeights[c] *
           (s <= 0.04045 ? s / 12.92 : std::pow((s + 0.055) / 1.055, 2.4));
  }
  return sum;
}

}  // namespace

std::string colour_at(double position) {
  const Rgb rgb = rgb_at(position);
  return fmt::format("#{:02x}{:02x}{:02x}",
                     static_cast<int>(rgb[0]),
                     static_cast<int>(rgb[1]),
                     static_cast<int>(rgb[2]));
}

std::string ink_on(double position) {
  const double light = luminance(rgb_at(position));
  const double with_black = (light + 0.05) / 0.05;
  const double with_white = 1.05 / (light + 0.05);
  return with_black >= with_white ? "#000" : "#fff";
}

}  // namespace mantissa::report
