#include <mantissa/formats/registry.h>

#include <array>

namespace mantissa {
namespace {

constexpr std::array<Format, 0> kFormats = {};

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

}  // namespace mantissa
