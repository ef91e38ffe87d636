#include <algorithm>
#include <cstring>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/safetensors_header.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::size_t kLargestHeader = 100'000'000;  // the format's own cap

// Names of tensors need no escapes, and a header holds very many.
std::string json_string(std::string_view text) {
  if (needs_no_escape(text)) return '"' + std::string(text) + '"';
  return nlohmann::json(text).dump();
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text = "\"__metadata__\":{";
  for (const auto& [key, value] : metadata) {
    if (text.back() != '{') text += ',';
    text += json_string(key) + ':' + json_string(value);
  }
  return text + '}';
}

}  // namespace

void set_canonical_layout(std::vector<HeaderEntry>& tensors) {
  std::ranges::sort(tensors, {}, [](const HeaderEntry& tensor) {
    return std::tie(tensor.dtype, tensor.name);
  });
  std::int64_t offset = 0;
  for (HeaderEntry& tensor : tensors) {
    tensor.begin = offset;
    offset += byte_count(tensor.dtype, tensor.shape);
    tensor.end = offset;
  }
  std::vector<std::string_view> names(tensors.size());
  std::ranges::transform(tensors, names.begin(), &HeaderEntry::name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) {
    throw Error(ErrorKind::Unexpected,
                fmt::format("safetensors: two tensors are named {}",
                            quoted_name(*twice)));
  }
}

std::string write_header(std::span<const HeaderEntry> tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::string text(8, '\0');
  text += '{';
  if (!metadata.empty()) text += metadata_text(metadata);
  for (const HeaderEntry& tensor : tensors) {
    if (text.back() != '{') text += ',';
    text += fmt::format(
        "{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
        json_string(tensor.name),
        safetensors_name(tensor.dtype),
        fmt::join(tensor.shape, ","),
        tensor.begin,
        tensor.end);
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t size = text.size() - 8;
  if (size > kLargestHeader) {
    throw Error(ErrorKind::Usage,
                fmt::format("safetensors: a header of {} bytes, the format "
                            "allows {}; every file carries the metadata of "
                            "all quantized tensors: quantize fewer",
                            size,
                            kLargestHeader));
  }
  std::memcpy(text.data(), &size, sizeof(size));
  return text;
}

}  // namespace mantissa
