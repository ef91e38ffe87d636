#include <mantissa/formats/registry.h>

#include "formats/int4_tensor.h"

namespace mantissa {
namespace {

constexpr Format kFormats[] = {
    {"Int4Tensor", "4-bit groups with float zero points", parse_int4_tensor},
};

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

}  // namespace mantissa
