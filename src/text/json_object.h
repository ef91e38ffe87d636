#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace mantissa::text {

using Json = nlohmann::ordered_json;

/// A JSON object of a tokenizer file with its place, for messages. Absent and
/// null are the same. What has the wrong type throws Error(Input).
class JsonObject {
 public:
  /// Throws Error(Input) unless `json` is an object.
  JsonObject(const Json& json, std::string place);

  const Json* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::string text(std::string_view key) const;
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  bool flag_or(std::string_view key, bool otherwise) const;
  bool flag(std::string_view key) const;
  /// A whole number in [0, limit].
  std::int64_t number(std::string_view key, std::int64_t limit) const;
  std::int64_t number_or(std::string_view key,
                         std::int64_t limit,
                         std::int64_t otherwise) const;
  JsonObject object(std::string_view key) const;
  /// The objects of an array of at most kMaxParts.
  std::vector<JsonObject> objects(std::string_view key) const;
  const Json& json() const { return *json_; }

  static constexpr std::size_t kMaxParts = 64;
  /// The longest text that a component may hold.
  static constexpr std::size_t kMaxText = 16384;

  /// Throws Error(Input): the file is malformed here.
  [[noreturn]] void fail(std::string_view key, std::string_view what) const;
  /// Throws Error(Usage): well-formed, and not supported.
  [[noreturn]] void refuse(std::string_view key, std::string_view what) const;
  /// Throws Error(Usage) for the component's `type`.
  [[noreturn]] void refuse_type(std::string_view supported) const;

 private:
  const Json& required(std::string_view key) const;

  const Json* json_;
  std::string place_;
};

/// A token's id from JSON; throws Error(Input) beginning with `place` unless it
/// is a whole number below kMaxTokens.
std::int32_t token_id_of(const Json& json, std::string_view place);
inline constexpr std::int64_t kMaxTokens = std::int64_t{1} << 22;

}  // namespace mantissa::text
