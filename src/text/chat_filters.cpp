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
    const auto parts = self.iterate(*given);
    if (parts->size() != 2) self.fail("tojson: separators are two strings");
    style.item = self.text_of((*parts)[0]);
    style.colon = self.text_of((*parts)[1]);
  }
  style.limit = Evaluator::kMaxBytes;
  std::string out;
  self.charge(in.weight);
  const JsonEnd end = to_json(in, style, out);
  if (end == JsonEnd::Limit) self.stop();
  if (end == JsonEnd::NoJson) {
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
    self.charge();
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
  const std::string path = kAttribute ? self.text_of(with.values[0]) : "";
  const bool tests = with.values.size() > kTest;
  const std::string name = tests ? self.text_of(with.values[kTest]) : "";
  const Arguments rest = rest_of(with, kTest + 1);
  const auto items = self.iterate(in);
  List out;
  for (const Value& item : *items) {
    const Value value = kAttribute ? path_of(self, item, path) : item;
    const bool passes = tests ? self.test(name, value, rest) : is_true(value);
    if (passes == kKeep) out.push_back(item);
  }
  return self.made(std::move(out));
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
  const std::string name =
      self.text_of(path == nullptr ? with.values[0] : *path);
  const Arguments rest = rest_of(with, 1);
  const auto items = self.iterate(in);
  self.charge_values(items->size());
  for (const Value& item : *items) {
    if (path == nullptr) {
      out.push_back(self.filter(name, item, rest));
      continue;
    }
    Value value = path_of(self, item, name);
    out.push_back(value.is_undefined() && otherwise != nullptr ? *otherwise
                                                               : value);
  }
  return out;
}

Value join_items(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* separator = with.find(0, "d");
  const Value* path = with.find(1, "attribute");
  const std::string between =
      separator == nullptr ? "" : self.text_of(*separator);
  const std::string name = path == nullptr ? "" : self.text_of(*path);
  const auto items = self.iterate(in);
  std::string out;
  bool first = true;
  for (const Value& item : *items) {
    if (!first) {
      self.charge(between.size());
      out += between;
    }
    first = false;
    out += self.text_of(path == nullptr ? item : path_of(self, item, name));
    if (out.size() > Evaluator::kMaxBytes) self.stop();
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
  self.charge_values(4 * dict->items.size());
  for (const auto& [key, value] : dict->items) {
    out.push_back({List{Value(key), value}, true});
  }
  return out;
}

char ascii_cased(char c, bool upper) {
  const char first = upper ? 'a' : 'A';
  const char last = upper ? 'z' : 'Z';
  return c >= first && c <= last ? static_cast<char>(c ^ 0x20) : c;
}

std::string lowered(std::string_view text, bool upper) {
  std::string out(text);
  const auto other = std::ranges::find_if(
      out, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  const auto plain = static_cast<std::size_t>(other - out.begin());
  for (std::size_t i = 0; i < plain; ++i) out[i] = ascii_cased(out[i], upper);
  out.resize(plain);
  for_each_character(text.substr(plain), [&](char32_t c, std::string_view) {
    upper ? append_upper(c, out) : append_lower(c, out);
  });
  return out;
}

Value capitalized(Evaluator& self, const Value& in, const Arguments&) {
  const std::string text = self.text_of(in);
  if (text.empty()) return text;
  const std::size_t first = character_bytes(text[0]);
  return lowered(std::string_view(text).substr(0, first), true) +
         lowered(std::string_view(text).substr(first), false);
}

Value replaced(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* from = with.find(0, "old");
  const Value* to = with.find(1, "new");
  if (from == nullptr || to == nullptr) self.fail("replace takes two strings");
  return self.call(
      method_of(Value(self.text_of(in)), "replace"),
      {{Value(self.text_of(*from)), Value(self.text_of(*to))}, {}});
}

Value defaulted(Evaluator&, const Value& in, const Arguments& with) {
  const Value* otherwise = with.find(0, "default_value");
  const Value* falsy = with.find(1, "boolean");
  const bool empty = in.is_undefined() ||
                     (falsy != nullptr && is_true(*falsy) && !is_true(in));
  if (!empty) return in;
  return otherwise == nullptr ? Value("") : *otherwise;
}

Value whole(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* otherwise = with.find(0, "default");
  double number = 0;
  std::int64_t integer = 0;
  if (is_integer(in, integer)) return integer;
  constexpr double kBeyond = 9.2e18;
  if (is_number(in, number) && std::fabs(number) < kBeyond) {
    return static_cast<std::int64_t>(number);
  }
  const std::string text = strip(self, self.text_of(in), nullptr, 0);
  const auto* end = text.data() + text.size();
  if (!text.empty() && std::from_chars(text.data(), end, integer).ptr == end) {
    return integer;
  }
  return otherwise == nullptr ? Value(std::int64_t{0}) : *otherwise;
}

Value sorted(Evaluator& self, const Value& in, const Arguments& with) {
  const Value* reverse = with.find(0, "reverse");
  const Value* path = with.find(2, "attribute");
  const std::string name = path == nullptr ? "" : self.text_of(*path);
  const bool down = reverse != nullptr && is_true(*reverse);
  const auto items = self.iterate(in);
  std::vector<std::pair<Value, Value>> keyed;
  self.charge_values(3 * items->size());
  for (const Value& item : *items) {
    Value key = path == nullptr ? item : path_of(self, item, name);
    if (const auto* text = key.as<std::string>()) {
      self.charge(text->size());
      key = lowered(*text, false);
    }
    keyed.emplace_back(std::move(key), item);
  }
  std::ranges::stable_sort(keyed, [&](const auto& a, const auto& b) {
    return down ? self.less(b.first, a.first) : self.less(a.first, b.first);
  });
  List out;
  for (auto& [key, item] : keyed) out.push_back(std::move(item));
  return out;
}

Value unique(Evaluator& self, const Value& in, const Arguments&) {
  const auto items = self.iterate(in);
  List out;
  for (const Value& item : *items) {
    const bool known = std::ranges::any_of(
        out, [&](const Value& other) { return self.equal(item, other); });
    if (!known) out.push_back(item);
  }
  return self.made(std::move(out));
}

Value reversed(Evaluator& self, const Value& in, const Arguments&) {
  if (const auto* text = in.as<std::string>()) {
    std::string out(text->size(), ' ');
    std::size_t end = text->size();
    for_each_character(*text, [&](char32_t, std::string_view bytes) {
      end -= bytes.size();
      out.replace(end, bytes.size(), bytes);
    });
    return out;
  }
  List items = *self.iterate(in);
  std::ranges::reverse(items);
  return self.made(std::move(items));
}

Value first_or_last(Evaluator& self, const Value& in, bool first) {
  const auto items = self.iterate(in);
  if (items->empty()) return Value::undefined("item of nothing");
  return first ? items->front() : items->back();
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
       return self.made(*self.iterate(in));
     }},
    {"lower",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return lowered(self.text_of(in), false);
     }},
    {"map", map_items},
    {"reject", select_items<false, false>},
    {"rejectattr", select_items<true, false>},
    {"replace", replaced},
    {"reverse", reversed},
    {"safe",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return self.text_of(in);
     }},
    {"select", select_items<false, true>},
    {"selectattr", select_items<true, true>},
    {"sort", sorted},
    {"string",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return self.text_of(in);
     }},
    {"tojson", to_json_text},
    {"trim",
     [](Evaluator& self, const Value& in, const Arguments& with) -> Value {
       return strip(self, self.text_of(in), with.find(0, "chars"), 0);
     }},
    {"unique", unique},
    {"upper",
     [](Evaluator& self, const Value& in, const Arguments&) -> Value {
       return lowered(self.text_of(in), true);
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
  constexpr int kCost = 16;  // frames of ours: map may call a filter again
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    charge(text_bytes(in) + text_bytes(with));
    enter(kCost);
    Value out = row.run(*this, in, with);
    depth_ -= kCost;
    return out;
  }
  fail(fmt::format("the filter {} is not supported; supported are {}",
                   quoted_name(name),
                   names_of_filters()));
}

}  // namespace mantissa::text::chat
