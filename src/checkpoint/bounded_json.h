#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

namespace mantissa {

/// Parses JSON from outside into a tree that is safe to walk: empty when the
/// text is not JSON, nests deeper than 64 levels or repeats a key.
std::optional<nlohmann::ordered_json> parse_bounded_json(std::string_view text);

}  // namespace mantissa
