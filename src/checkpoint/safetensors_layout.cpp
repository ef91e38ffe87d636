#include <algorithm>
#include <cstring>
#include <string_view>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

#include "checkpoint/safetensors_header.h"
#include "core/quoted.h"
#include "core/utf8.h"

namespace mantissa {
namespace {

constexpr std::size_t kLargestHeader = 100'000'000;  // the format's own cap
constexpr std::string_view kMetadata = "__metadata__";

// Names of tensors need no escapes, and a header holds very many.
std::string json_string(std::string_view text) {
  if (needs_no_escape(text)) return '"' + std::string(text) + '"';
  return nlohmann::json(text).dump();
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text = json_string(kMetadata) + ":{";
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

void check_tensor_name(std::string_view name) {
  std::string rule;
  if (name == kMetadata) {
    rule = "safetensors keeps this name for its metadata";
  } else if (!is_utf8(name)) {
    rule = "names in safetensors files are UTF-8, and this one is not";
  } else if (name.size() > HeaderLimits{}.name_bytes) {
    rule = fmt::format("a name of {} bytes, readers take {}",
                       name.size(),
                       HeaderLimits{}.name_bytes);
  }
  if (rule.empty()) return;
  throw Error(
      ErrorKind::Usage,
      fmt::format(
          "tensor {}: {}; give it another name", quoted_name(name), rule));
}

std::string write_header(std::span<const HeaderEntry> tensors,
                         const std::map<std::string, std::string>& metadata) {
  std::string text(8, '\0');
  text += '{';
  if (!metadata.empty()) text += metadata_text(metadata);
  for (const HeaderEntry& tensor : tensors) {
    check_tensor_name(tensor.name);
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
