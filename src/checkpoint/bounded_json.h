#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace mantissa {

/// Parses JSON from outside into a tree that is safe to walk: empty when
/// parse_json_tree() refuses the text.
std::optional<nlohmann::ordered_json> parse_bounded_json(std::string_view text);

/// Parses a config.json. Throws Error(Input) "LABEL: not JSON at byte 12:
/// reason" when the text is not JSON, nests deeper than 32 levels, repeats a
/// key, holds more than a million values or is no object.
nlohmann::ordered_json parse_config_object(std::string_view text,
                                           std::string_view label);

/// The number of a JSON integer; nothing for other values, and for integers
/// that 64 bits with a sign do not hold.
std::optional<std::int64_t> whole_number(const nlohmann::ordered_json& json);

}  // namespace mantissa
