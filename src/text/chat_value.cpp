#include "text/chat_value.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "text/characters.h"

namespace mantissa::text::chat {
namespace {

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == text.npos) text += ".0";
  return text;
}

std::string in_quotes(std::string_view text) {
  const bool both = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = both ? '"' : '\'';
  std::string out(1, quote);
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x100 && is_other(c)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      out += bytes;
    }
  });
  return out + quote;
}

std::string list_repr(const List& list, bool tuple) {
  std::string out = tuple ? "(" : "[";
  for (std::size_t i = 0; i < list.size(); ++i) {
    out += (i == 0 ? "" : ", ") + to_repr(list[i]);
  }
  if (tuple && list.size() == 1) out += ',';
  return out + (tuple ? ")" : "]");
}

std::string dict_repr(const Dict& dict) {
  std::string out = "{";
  for (const auto& [key, value] : dict.items) {
    out += (out.size() == 1 ? "" : ", ") + in_quotes(key) + ": " + to_repr(value);
  }
  return out + "}";
}

// Quotes, and what separates a part from the next.
constexpr std::uint64_t kPartWeight = 8;

std::uint32_t saturated(std::uint64_t weight) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(weight, UINT32_MAX));
}

std::uint16_t one_deeper(std::uint16_t depth) {
  return static_cast<std::uint16_t>(std::min<int>(depth + 1, UINT16_MAX));
}

}  // namespace

Value::Value(std::string text)
    : data(std::make_shared<const std::string>(std::move(text))) {
  weight = saturated(as<std::string>()->size() + kPartWeight);
}

Value::Value(List items, bool as_tuple)
    : data(std::make_shared<const List>(std::move(items))), tuple(as_tuple) {
  std::uint64_t sum = kPartWeight;
  for (const Value& item : *as<List>()) {
    sum += item.weight + kPartWeight;
    depth = std::max(depth, item.depth);
  }
  weight = saturated(sum);
  depth = one_deeper(depth);
}

Value::Value(Dict dict) : data(std::make_shared<const Dict>(std::move(dict))) {
  std::uint64_t sum = kPartWeight;
  for (const auto& [key, value] : as<Dict>()->items) {
    sum += key.size() + value.weight + kPartWeight;
    depth = std::max(depth, value.depth);
  }
  weight = saturated(sum);
  depth = one_deeper(depth);
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Value* Arguments::find(std::size_t place, std::string_view name) const {
  if (place < values.size()) return &values[place];
  for (const auto& [key, value] : named) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string_view type_name(const Value& value) {
  constexpr std::string_view kNames[] = {"undefined",
                                         "None",
                                         "a boolean",
                                         "an integer",
                                         "a float",
                                         "a string",
                                         "a list",
                                         "a dict",
                                         "a namespace",
                                         "a function"};
  return kNames[value.data.index()];
}

bool is_true(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  double number = 0;
  if (is_number(value, number)) return number != 0;
  if (const auto* text = value.as<std::string>()) return !text->empty();
  if (const auto* list = value.as<List>()) return !list->empty();
  if (const auto* dict = value.as<Dict>()) return !dict->items.empty();
  return true;
}

std::string to_repr(const Value& value) {
  if (const auto* text = value.as<std::string>()) return in_quotes(*text);
  return value.is_undefined() ? "Undefined" : to_text(value);
}

std::string to_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (const auto* flag = value.as<bool>()) return *flag ? "True" : "False";
  if (const auto* number = value.as<std::int64_t>()) {
    return fmt::format("{}", *number);
  }
  if (const auto* number = value.as<double>()) return float_text(*number);
  if (const auto* text = value.as<std::string>()) return *text;
  if (const auto* list = value.as<List>()) return list_repr(*list, value.tuple);
  if (const auto* dict = value.as<Dict>()) return dict_repr(*dict);
  if (const auto* held = value.as_namespace()) {
    // Fields may hold the namespace itself: their names are enough.
    return fmt::format("<Namespace of {} fields>", held->fields.items.size());
  }
  return "<function>";
}

bool is_integer(const Value& value, std::int64_t& out) {
  if (const auto* flag = value.as<bool>()) {
    out = *flag ? 1 : 0;
  } else if (const auto* number = value.as<std::int64_t>()) {
    out = *number;
  } else {
    return false;
  }
  return true;
}

bool is_number(const Value& value, double& out) {
  std::int64_t whole = 0;
  if (is_integer(value, whole)) {
    out = static_cast<double>(whole);
    return true;
  }
  if (const auto* number = value.as<double>()) {
    out = *number;
    return true;
  }
  return false;
}

bool are_equal(const Value& a, const Value& b) {
  std::int64_t whole_a = 0;
  std::int64_t whole_b = 0;
  if (is_integer(a, whole_a) && is_integer(b, whole_b)) {
    return whole_a == whole_b;
  }
  double number_a = 0;
  double number_b = 0;
  if (is_number(a, number_a) && is_number(b, number_b)) {
    return number_a == number_b;
  }
  if (a.data.index() != b.data.index()) return false;
  if (const auto* text = a.as<std::string>()) {
    return *text == *b.as<std::string>();
  }
  if (const auto* list = a.as<List>()) {
    const List& other = *b.as<List>();
    if (a.tuple != b.tuple || list->size() != other.size()) return false;
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (!are_equal((*list)[i], other[i])) return false;
    }
    return true;
  }
  if (const auto* dict = a.as<Dict>()) {
    const Dict& other = *b.as<Dict>();
    if (dict->items.size() != other.items.size()) return false;
    for (const auto& [key, value] : dict->items) {
      const Value* same = other.find(key);
      if (same == nullptr || !are_equal(value, *same)) return false;
    }
    return true;
  }
  if (const auto* held = a.as_namespace()) return held == b.as_namespace();
  if (const auto* function = a.as<Function>()) {
    return function == b.as<Function>();
  }
  return true;  // two undefined, two None
}

std::int64_t length_of(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) {
    count += (static_cast<unsigned char>(c) & 0xc0u) != 0x80u ? 1 : 0;
  }
  return count;
}

}  // namespace mantissa::text::chat
