#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <mantissa/core/dtype.h>
#include <mantissa/core/enums.h>
#include <mantissa/core/granularity.h>

namespace mantissa::attributes {

using Json = nlohmann::ordered_json;

// Writing the `_data` of a metadata entry: build an object in torchao's order
// from these values (numbers, booleans, strings, nullptr and Shape as they
// are), then dump() it.

/// {"_type": "torch.dtype", "_data": "bfloat16"}.
Json dtype(DType value);

/// {"_type": `type`, "_data": `data`}: a nested dataclass; no `_version` here.
Json object(std::string_view type, Json data);

/// {"_type": "MappingType", "_data": "SYMMETRIC"}.
template <class Enum>
Json enumerator(Enum value) {
  return object(spelling(value).type, std::string(spelling(value).member));
}

/// {"_type": "PerRow", "_data": {"dim": -1}}.
Json granularity(const Granularity& value);

/// Text with torchao's spacing: ", " and ": ".
std::string dump(const Json& value);

/// Reads an attribute object strictly. Every member is asked for by name;
/// finish() refuses those nobody asked for, as torchao's constructors do.
/// Everything throws Error(Input) naming owner, attribute, expected and found.
class Reader {
 public:
  /// `text` is a JSON object; `owner` names it in messages ("Int8Tensor").
  Reader(std::string_view owner, std::string_view text);

  /// True if the member is there, null or not.
  bool present(std::string_view key) const;
  /// True if the member is there and not null.
  bool has(std::string_view key) const;

  DType dtype(std::string_view key);
  /// The member name, an alias or a value; plain strings are accepted too.
  template <class Enum>
  Enum enumerator(std::string_view key) {
    const std::string text = enum_text(key, spelling(Enum{}).type);
    const auto value = enum_from_spelling<Enum>(text);
    if (!value) refuse(key, std::string(spelling(Enum{}).type));
    return *value;
  }
  /// Any of torchao's granularities; an absent PerRow dim or PerAxis axis is
  /// the default.
  Granularity granularity(std::string_view key);
  Shape integers(std::string_view key);
  std::int64_t integer(std::string_view key);
  double number(std::string_view key);
  bool boolean(std::string_view key);
  std::string text(std::string_view key);
  /// The members of a nested dataclass {"_type": `type`, "_data": {...}}.
  Reader object(std::string_view key, std::string_view type);
  /// Marks a member as known without reading it.
  void ignore(std::string_view key);

  /// Throws if a member was never asked for.
  void finish() const;

  /// Throws Error(Input): "OWNER: KEY: expected EXPECTED, got VALUE".
  [[noreturn]] void refuse(std::string_view key,
                           const std::string& expected) const;

 private:
  Reader() = default;
  void take(Json object);
  const Json& member(std::string_view key, const char* expected);
  std::string enum_text(std::string_view key, std::string_view type);

  std::string owner_;
  Json object_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace mantissa::attributes
