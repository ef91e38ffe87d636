#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace mantissa {

/// A value of a GGUF key in the widest type of its kind: unsigned and signed
/// integers, floats, bool, string, and arrays of those.
using GgufValue = std::variant<std::uint64_t,
                               std::int64_t,
                               double,
                               bool,
                               std::string,
                               std::vector<std::uint64_t>,
                               std::vector<std::int64_t>,
                               std::vector<double>,
                               std::vector<bool>,
                               std::vector<std::string>>;

/// "an unsigned integer", "an array of strings": for messages.
std::string_view kind_name(const GgufValue& value);

/// The key/value pairs of a GGUF file in file order; keys are unique.
class GgufMetadata {
 public:
  struct Pair {
    std::string key;
    GgufValue value;
  };

  /// False when the key is already there.
  bool add(std::string key, GgufValue value);
  const std::vector<Pair>& pairs() const { return pairs_; }
  /// Null when the key is absent.
  const GgufValue* find(std::string_view key) const;

  // Typed look-ups: empty or null when the key is absent. Each throws
  // Error(Input) naming the key, the expected and the found type.

  /// A whole number >= 0; an array of equal numbers counts as one number.
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  const std::string* string(std::string_view key) const;
  const std::vector<std::string>* strings(std::string_view key) const;
  /// Whole numbers of any width and sign.
  std::optional<std::vector<std::int64_t>> integers(std::string_view key) const;

 private:
  std::vector<Pair> pairs_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace mantissa
