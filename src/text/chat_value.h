#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mantissa::text::chat {

struct Value;
class Evaluator;

using List = std::vector<Value>;
using Named = std::vector<std::pair<std::string, Value>>;

/// A dict keeps the order of its keys, which are strings.
struct Dict {
  Named items;
  const Value* find(std::string_view key) const;
};

/// The arguments of a call.
struct Arguments {
  List values;
  Named named;

  /// The argument at a place or of a name; null when neither is given.
  const Value* find(std::size_t place, std::string_view name) const;
};

using Function = std::function<Value(Evaluator&, const Arguments&)>;

struct Undefined {
  std::string name;
};

/// What namespace() makes: the only thing that a template may change.
struct Namespace {
  Dict fields;
};

/// A value of a template. Lists, dicts and strings are shared and immutable.
struct Value {
  std::variant<Undefined,
               std::nullptr_t,
               bool,
               std::int64_t,
               double,
               std::shared_ptr<const std::string>,
               std::shared_ptr<const List>,
               std::shared_ptr<const Dict>,
               std::shared_ptr<Namespace>,
               std::shared_ptr<const Function>>
      data;
  bool tuple = false;  ///< of a list: shown with parentheses
  /// Lists, dicts and bound methods that lie in one another.
  std::uint16_t depth = 0;
  /// About the bytes that showing it takes. Parts may be shared, so that a
  /// small value can stand for more than memory holds.
  std::uint32_t weight = kScalarWeight;

  static constexpr std::uint32_t kScalarWeight = 24;

  Value() = default;
  Value(std::nullptr_t) : data(nullptr) {}
  Value(bool value) : data(value) {}
  Value(std::int64_t value) : data(value) {}
  Value(double value) : data(value) {}
  Value(std::string text);
  Value(const char* text) : Value(std::string(text)) {}
  Value(List items, bool as_tuple = false);
  Value(Dict dict);
  /// A method that holds its value.
  Value(Function function, const Value& of) : Value(std::move(function)) {
    depth = static_cast<std::uint16_t>(std::min(of.depth + 1, 0xffff));
  }
  Value(Function function)
      : data(std::make_shared<const Function>(std::move(function))) {}

  static Value undefined(std::string name) {
    Value value;
    value.data = Undefined{std::move(name)};
    return value;
  }

  template <typename T>
  const T* as() const {
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, List> ||
                  std::is_same_v<T, Dict> || std::is_same_v<T, Function>) {
      const auto* held = std::get_if<std::shared_ptr<const T>>(&data);
      return held == nullptr ? nullptr : held->get();
    } else {
      return std::get_if<T>(&data);
    }
  }
  Namespace* as_namespace() const {
    const auto* held = std::get_if<std::shared_ptr<Namespace>>(&data);
    return held == nullptr ? nullptr : held->get();
  }
  bool is_undefined() const { return data.index() == 0; }
  bool is_none() const { return data.index() == 1; }
};

/// "a string", "a list".
std::string_view type_name(const Value& value);

/// Python's truth of a value.
bool is_true(const Value& value);

/// Python's str() and repr(). Both take time in proportion to the weight.
std::string to_text(const Value& value);
std::string to_repr(const Value& value);

/// Python's ==, also between numbers of different types. In time in proportion
/// to the lesser weight.
bool are_equal(const Value& a, const Value& b);

/// Booleans and integers; integers and floats too.
bool is_integer(const Value& value, std::int64_t& out);
bool is_number(const Value& value, double& out);

/// Characters of UTF-8.
std::int64_t length_of(std::string_view text);

/// Reads a JSON object; throws Error(Input).
Dict read_variables(std::string_view json);

/// How json.dumps writes.
struct JsonStyle {
  int indent = -1;  ///< negative: one line
  bool sort_keys = false;
  bool ensure_ascii = false;
  std::string item = ", ";
  std::string colon = ": ";
  std::size_t limit = SIZE_MAX;  ///< of the bytes written
};

enum class JsonEnd { Whole, NoJson, Limit };

/// json.dumps(); stops at what JSON cannot hold and at the limit.
JsonEnd to_json(const Value& value, const JsonStyle& style, std::string& out);

}  // namespace mantissa::text::chat
