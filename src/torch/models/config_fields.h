#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "checkpoint/model_bounds.h"

namespace mantissa {

/// The remedy where config.json and weights do not belong together.
inline constexpr const char* kOtherConfig =
    "use the config.json that was saved with the weights";

/// Reads typed keys of a config.json, or of a file like it; a key that is null
/// counts as absent. Throws Error(Input) "config.json: KEY: expected ..., got
/// ...".
class ConfigFields {
 public:
  /// `object` outlives the reader; `path` stands before the keys in messages
  /// ("rope_parameters."), and `file` before that.
  explicit ConfigFields(const nlohmann::ordered_json& object,
                        std::string path = "",
                        std::string file = "config.json");

  bool has(const char* key) const { return find(key) != nullptr; }
  /// True for a key that says null: no default stands in for it.
  bool is_null(const char* key) const;
  /// An integer in [1, most].
  std::int64_t count(const char* key, std::int64_t most = kMaxCount) const;
  std::int64_t count_or(const char* key,
                        std::int64_t fallback,
                        std::int64_t most = kMaxCount) const;
  /// A finite number.
  double number(const char* key) const;
  double number_or(const char* key, double fallback) const;
  /// What a norm adds under its root: 0 to 1.
  double epsilon_or(const char* key, double fallback) const;
  bool flag_or(const char* key, bool fallback) const;
  std::string text_or(const char* key, const std::string& fallback) const;
  /// Non-negative integers; empty if absent.
  std::vector<std::int64_t> integers(const char* key) const;
  std::vector<std::string> texts(const char* key) const;
  /// The object under a key; empty if absent.
  std::optional<ConfigFields> object(const char* key) const;

 private:
  const nlohmann::ordered_json* find(const char* key) const;
  const nlohmann::ordered_json& require(const char* key,
                                        const char* expected) const;
  [[noreturn]] void refuse(const char* key,
                           std::string_view expected,
                           std::string_view remedy = {}) const;

  const nlohmann::ordered_json& object_;
  std::string path_;
  std::string file_;
};

}  // namespace mantissa
