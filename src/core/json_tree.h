#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace mantissa {

/// What a JSON text from outside may hold. A value costs up to 100 bytes as a
/// tree and, written with indentation, twice its depth in blanks; keys count
/// as values.
struct JsonLimits {
  int depth = 64;
  std::size_t values = 1'000'000;
};

/// Why a text was refused: "not JSON at byte 12: invalid literal".
class JsonRefusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Parses JSON from outside into a tree that is safe to walk, in time and
/// memory linear in the text. Throws JsonRefusal when the text is not JSON in
/// UTF-8, begins with a byte order mark, repeats a key in an object or passes
/// a limit.
nlohmann::ordered_json parse_json_tree(std::string_view text,
                                       const JsonLimits& limits = {});

}  // namespace mantissa
