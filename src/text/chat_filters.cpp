#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "core/quoted.h"
#include "text/characters.h"
#include "text/chat_evaluator.h"

namespace mantissa::text::chat {
namespace {

using Filter = Value (*)(Evaluator&, const Value&, const Arguments&);

std::int64_t size_of(Evaluator& self, const Value& in) {
  if (const auto* text = in.as<std::string>()) return length_of(*text);
  if (const auto* list = in.as<List>()) {
    return static_cast<std::int64_t>(list->size());
  }
  if (const auto* dict = in.as<Dict>()) {
    return static_cast<std::int64_t>(dict->items.size());
  }
  if (in.is_undefined()) return 0;
  self.fail(fmt::format("{} has no length", type_name(in)));
}

Value to_json_text(Evaluator& self, const Value& in, const Arguments& with) {
  JsonStyle style;
  std::int64_t indent = -1;
  if (const Value* given = with.find(1, "indent");
      given != nullptr && is_integer(*given, indent)) {
    style.indent = static_cast<int>(std::clamp<std::int64_t>(indent, 0, 16));
    style.item = ",";
  }
  if (const Value* given = with.find(0, "ensure_ascii")) {
    style.ensure_ascii = is_true(*given);
  }
  if (const Value* given = with.find(3, "sort_keys")) {
    style.sort_keys = is_true(*given);
  }
  if (const Value* given = with.find(2, "separators");
      given != nullptr && !given->is_none()) {
    const List parts = self.iterate(*given);
    if (parts.size() != 2) self.fail("tojson: separators are two strings");
    style.item = to_text(parts[0]);
    style.colon = to_text(parts[1]);
  }
  std::string out;
  if (!to_json(in, style, out)) {
    self.fail(fmt::format(
        "tojson: {} in the value is not JSON",
        in.is_undefined() ? "an undefined value" : "a function or namespace"));
  }
  self.charge(out.size());
  return out;
}

// `a.b.0` of an item.
Value path_of(Evaluator& self, const Value& item, const std::string& path) {
  Value value = item;
  std::size_t at = 0;
  while (true) {
    const std::size_t dot = std::min(path.find('.', at), path.size());
    const std::string part = path.substr(at, dot - at);
    std::int64_t index = 0;
    const auto end = part.data() + part.size();
    const bool whole = std::from_chars(part.data(), end, index).ptr == end;
    value = whole && !part.empty() ? self.item(value, index)
                                   : self.item(value, Value(part));
    if (dot == path.size()) return value;
    at = dot + 1;
  }
}

Arguments rest_of(const Arguments& with, std::size_t from) {
  Arguments out;
  for (std::size_t i = from; i < with.values.size(); ++i) {
    out.values.push_back(with.values[i]);
  }
  return out;
}

template <bool kAttribute, bool kKeep>
Value select_items(Evaluator& self, const Value& in, const Arguments& with) {
  constexpr std::size_t kTest = kAttribute ? 1 : 0;
  if (kAttribute && with.values.empty()) {
    self.fail("selectattr and rejectattr name an attribute");
  }
  List out;
  for (const Value& item : self.iterate(in)) {
    const Value value =
        kAttribute ? path_of(self, item, to_text(with.values[0])) : item;
    const bool passes =
        with.values.size() > kTest
            ? self.test(
                  to_text(with.values[kTest]), value, rest_of(with, kTest + 1))
            : is_true(value);
    if (passes == kKeep) out.push_back(item);
  }
  return out;
}

Value map_items(Evaluator& self, const Value& in, const Arguments& with) {
  List out;
  const Value* path = nullptr;
  const Value* otherwise = nullptr;
  for (const auto& [name, value] : with.named) {
    if (name == "attribute") path = &value;
    if (name == "default") otherwise = &value;
  }
  if (path == nullptr && with.values.empty()) {
    self.fail("map takes a filter, or attribute=NAME");
  }
  for (const Value& item : self.iterate(in)) {
    if (path == nullptr) {
      out.push_back(
          self.filter(to_text(with.values[0]), item, rest_of(with, 1)));
      continue;
    }
    Value value = path_of(self, item, to_text(*path));
    out.push_back(value.is_undefined() && otherwise != nullptr ? *otherwise
                                                               : value);
  }
  return out;
}

Value join_items(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* separator = with.find(0, "d");
  const Value* path = with.find(1, "attribute");
  std::string out;
  bool first = true;
  for (const Value& item : self.iterate(in)) {
    if (!first && separator != nullptr) out += to_text(*separator);
    first = false;
    out +=
        to_text(path == nullptr ? item : path_of(self, item, to_text(*path)));
    self.charge(out.size() / 64);
  }
  return out;
}

Value pairs_of(Evaluator& self, const Value& in, const Arguments&) {
  if (in.is_undefined()) return List();
  const auto* dict = in.as<Dict>();
  if (dict == nullptr) {
    self.fail(fmt::format("items takes a dict, got {}", type_name(in)));
  }
  List out;
  for (const auto& [key, value] : dict->items) {
    out.push_back({List{Value(key), value}, true});
  }
  return out;
}

std::string lowered(std::string_view text, bool upper) {
  std::string out;
  for_each_character(text, [&](char32_t c, std::string_view) {
    upper ? append_upper(c, out) : append_lower(c, out);
  });
  return out;
}

Value capitalized(Evaluator&, const Value& in, const Arguments&) {
  const std::string text = to_text(in);
  if (text.empty()) return text;
  const std::size_t first = character_bytes(text[0]);
  return lowered(std::string_view(text).substr(0, first), true) +
         lowered(std::string_view(text).substr(first), false);
}

Value replaced(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* from = with.find(0, "old");
  const Value* to = with.find(1, "new");
  if (from == nullptr || to == nullptr) self.fail("replace takes two strings");
  return self.call(method_of(Value(to_text(in)), "replace"),
                   {{Value(to_text(*from)), Value(to_text(*to))}, {}});
}

Value defaulted(Evaluator&, const Value& in, const Arguments& with) {
  const Value* otherwise = with.find(0, "default_value");
  const Value* falsy = with.find(1, "boolean");
  const bool empty = in.is_undefined() ||
                     (falsy != nullptr && is_true(*falsy) && !is_true(in));
  if (!empty) return in;
  return otherwise == nullptr ? Value("") : *otherwise;
}

Value whole(Evaluator&, const Value& in, const Arguments& with) {
  const Value* otherwise = with.find(0, "default");
  double number = 0;
  std::int64_t integer = 0;
  if (is_integer(in, integer)) return integer;
  constexpr double kBeyond = 9.2e18;
  if (is_number(in, number) && std::fabs(number) < kBeyond) {
    return static_cast<std::int64_t>(number);
  }
  const std::string text = strip(to_text(in), nullptr, 0);
  const auto* end = text.data() + text.size();
  if (!text.empty() && std::from_chars(text.data(), end, integer).ptr == end) {
    return integer;
  }
  return otherwise == nullptr ? Value(std::int64_t{0}) : *otherwise;
}

Value sorted(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* reverse = with.find(0, "reverse");
  const Value* path = with.find(2, "attribute");
  List items = self.iterate(in);
  const bool down = reverse != nullptr && is_true(*reverse);
  const auto key = [&](const Value& item) {
    Value value = path == nullptr ? item : path_of(self, item, to_text(*path));
    if (const auto* text = value.as<std::string>()) {
      return Value(lowered(*text, false));
    }
    return value;
  };
  std::ranges::stable_sort(items, [&](const Value& a, const Value& b) {
    return down ? self.less(key(b), key(a)) : self.less(key(a), key(b));
  });
  return items;
}

Value unique(Evaluator& self, const Value& in, const Arguments&) {
  List out;
  for (const Value& item : self.iterate(in)) {
    self.charge(out.size());
    const bool known = std::ranges::any_of(
        out, [&](const Value& other) { return are_equal(item, other); });
    if (!known) out.push_back(item);
  }
  return out;
}

Value reversed(Evaluator& self, const Value& in, const Arguments&) {
  List items = self.iterate(in);
  std::ranges::reverse(items);
  if (in.as<std::string>() == nullptr) return items;
  std::string out;
  for (const Value& item : items) out += to_text(item);
  return out;
}

Value first_or_last(Evaluator& self, const Value& in, bool first) {
  const List items = self.iterate(in);
  if (items.empty()) return Value::undefined("item of nothing");
  return first ? items.front() : items.back();
}

struct Row {
  std::string_view name;
  Filter run;
};

constexpr Row kRows[] = {
    {"abs",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       std::int64_t integer = 0;
       double number = 0;
       if (is_integer(in, integer) && integer != INT64_MIN) {
         return integer < 0 ? -integer : integer;
       }
       if (!is_number(in, number)) self.fail("abs takes a number");
       return std::fabs(number);
     }},
    {"capitalize", capitalized},
    {"count",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return size_of(self, in);
     }},
    {"d", defaulted},
    {"default", defaulted},
    {"first",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return first_or_last(self, in, true);
     }},
    {"int", whole},
    {"items", pairs_of},
    {"join", join_items},
    {"last",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return first_or_last(self, in, false);
     }},
    {"length",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return size_of(self, in);
     }},
    {"list",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return self.iterate(in);
     }},
    {"lower",
     [](Evaluator&, const Value& in, const Arguments&) -> Value {
       return lowered(to_text(in), false);
     }},
    {"map", map_items},
    {"reject", select_items<false, false>},
    {"rejectattr", select_items<true, false>},
    {"replace", replaced},
    {"reverse", reversed},
    {"safe",
     [](Evaluator&, const Value& in, const Arguments&) -> Value {
       return to_text(in);
     }},
    {"select", select_items<false, true>},
    {"selectattr", select_items<true, true>},
    {"sort", sorted},
    {"string",
     [](Evaluator&, const Value& in, const Arguments&) -> Value {
       return to_text(in);
     }},
    {"tojson", to_json_text},
    {"trim",
     [](Evaluator&, const Value& in, const Arguments& with) -> Value {
       return strip(to_text(in), with.find(0, "chars"), 0);
     }},
    {"unique", unique},
    {"upper",
     [](Evaluator&, const Value& in, const Arguments&) -> Value {
       return lowered(to_text(in), true);
     }},
};

std::string names_of_filters() {
  std::string names;
  for (const Row& row : kRows) {
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  return names;
}

}  // namespace

Value Evaluator::filter(std::string_view name,
                        const Value& in,
                        const Arguments& with) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.run(*this, in, with);
  }
  fail(fmt::format("the filter {} is not supported; supported are {}",
                   quoted_name(name),
                   names_of_filters()));
}

}  // namespace mantissa::text::chat
