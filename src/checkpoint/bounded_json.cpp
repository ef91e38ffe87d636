#include "checkpoint/bounded_json.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/json_tree.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

// Real ones nest up to 8 levels; each level costs blanks in what we write.
constexpr JsonLimits kConfigLimits{.depth = 32};

std::string_view type_of(const Json& json) {
  return json.is_array() ? "an array" : json.type_name();
}

}  // namespace

std::optional<Json> parse_bounded_json(std::string_view text) {
  try {
    return parse_json_tree(text);
  } catch (const JsonRefusal&) {
    return std::nullopt;
  }
}

Json parse_config_object(std::string_view text, std::string_view label) {
  try {
    Json config = parse_json_tree(text, kConfigLimits);
    if (config.is_object()) return config;
    throw JsonRefusal(
        fmt::format("expected a JSON object, got {}", type_of(config)));
  } catch (const JsonRefusal& refusal) {
    throw Error(ErrorKind::Input, fmt::format("{}: {}", label, refusal.what()));
  }
}

std::optional<std::int64_t> whole_number(const Json& json) {
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > INT64_MAX) {
    return std::nullopt;
  }
  return json.get<std::int64_t>();
}

}  // namespace mantissa
