#include <algorithm>

#include <fmt/format.h>

#include "core/quoted.h"
#include "text/characters.h"
#include "text/chat_evaluator.h"

namespace mantissa::text::chat {
namespace {

using Text = std::string;
using Method = Value (*)(Evaluator&, const Text&, const Arguments&);

Text text_argument(Evaluator& self, const Arguments& with, std::size_t place) {
  const Text* text = place < with.values.size()
                         ? with.values[place].as<std::string>()
                         : nullptr;
  if (text == nullptr) self.fail("the method takes a string");
  return *text;
}

// What strip() and split() take for blank without being told.
bool is_blank(std::string_view bytes) {
  const char32_t c = first_character(bytes).code;
  return is_white_space(c) || (c >= 0x1c && c <= 0x1f);
}

// Whether one of the affixes, a string or a tuple of them, fits.
template <typename F>
Value any_affix(Evaluator& self, const Arguments& with, F&& fits) {
  if (with.values.size() != 1) {
    self.fail("startswith() and endswith() take one argument here");
  }
  if (const auto* text = with.values[0].as<std::string>()) return fits(*text);
  const auto items = self.iterate(with.values[0]);
  for (const Value& item : *items) {
    self.charge(text_bytes(item));
    const auto* text = item.as<std::string>();
    if (text != nullptr && fits(*text)) return true;
  }
  return false;
}

List split_at_blanks(Evaluator& self,
                     std::string_view text,
                     std::int64_t most) {
  List out;
  while (true) {
    std::size_t begin = 0;
    while (begin < text.size() && is_blank(text.substr(begin))) {
      begin += character_bytes(text[begin]);
    }
    text.remove_prefix(begin);
    if (text.empty()) return out;
    std::size_t end = 0;
    while (end < text.size() &&
           !is_white_space(first_character(text.substr(end)).code)) {
      end += character_bytes(text[end]);
    }
    if (static_cast<std::int64_t>(out.size()) == most) end = text.size();
    self.charge_values(2);
    out.emplace_back(Text(text.substr(0, end)));
    text.remove_prefix(end);
  }
}

List split_at_text(Evaluator& self,
                   std::string_view text,
                   std::string_view by,
                   std::int64_t most) {
  List out;
  while (static_cast<std::int64_t>(out.size()) != most) {
    const std::size_t at = self.find_text(text, by);
    if (at == text.npos) break;
    self.charge_values(2);
    out.emplace_back(Text(text.substr(0, at)));
    text.remove_prefix(at + by.size());
  }
  out.emplace_back(Text(text));
  return out;
}

List split_from_right(Evaluator& self,
                      std::string_view text,
                      std::string_view by,
                      std::int64_t most) {
  List out;
  while (static_cast<std::int64_t>(out.size()) != most) {
    const std::size_t at = text.rfind(by);
    self.charge((text.size() - (at == text.npos ? 0 : at)) * by.size() / 64);
    if (at == text.npos) break;
    self.charge_values(2);
    out.emplace_back(Text(text.substr(at + by.size())));
    text = text.substr(0, at);
  }
  out.emplace_back(Text(text));
  std::ranges::reverse(out);
  return out;
}

// split() at blanks or at a separator, from the left or the right.
Value split(Evaluator& self,
            const Text& text,
            const Arguments& with,
            bool from_right) {
  std::int64_t most = -1;
  const Value* limit = with.find(1, "maxsplit");
  if (limit != nullptr && !is_integer(*limit, most)) {
    self.fail("split: maxsplit is an integer");
  }
  most = std::max<std::int64_t>(most, -1);  // -1: no limit
  const Value* separator = with.find(0, "sep");
  if (separator == nullptr || separator->is_none()) {
    if (from_right && most >= 0) {
      self.fail("rsplit at blanks with maxsplit is not supported");
    }
    return split_at_blanks(self, text, most);
  }
  const Text by = self.text_of(*separator);
  if (by.empty()) self.fail("split: an empty separator");
  return from_right ? split_from_right(self, text, by, most)
                    : split_at_text(self, text, by, most);
}

Value replace(Evaluator& self, const Text& text, const Arguments& with) {
  const Text from = text_argument(self, with, 0);
  const Text to = text_argument(self, with, 1);
  std::int64_t most = INT64_MAX;
  if (const Value* limit = with.find(2, "count");
      limit != nullptr && is_integer(*limit, most) && most < 0) {
    most = INT64_MAX;
  }
  if (from.empty()) self.fail("replace: an empty string");
  Text out;
  std::size_t at = 0;
  for (std::size_t found = self.find_text(text, from);
       found != text.npos && most > 0;
       found = self.find_text(text, from, at), --most) {
    out.append(text, at, found - at);
    out += to;
    at = found + from.size();
    self.charge(to.size());
    if (out.size() > Evaluator::kMaxBytes) self.stop();
  }
  out.append(text, at);
  self.charge(out.size());
  return out;
}

Value find(Evaluator& self, const Text& text, const Arguments& with) {
  const std::size_t at = self.find_text(text, text_argument(self, with, 0));
  if (at == text.npos) return std::int64_t{-1};
  return length_of(std::string_view(text).substr(0, at));
}

Value through_filter(Evaluator& self, const Text& text, const char* name) {
  return self.filter(name, text, {});
}

struct Row {
  std::string_view name;
  Method run;
};

constexpr Row kTextMethods[] = {
    {"capitalize",
     [](Evaluator& self, const Text& text, const Arguments&) {
       return through_filter(self, text, "capitalize");
     }},
    {"endswith",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return any_affix(
           self, with, [&](const Text& t) { return text.ends_with(t); });
     }},
    {"find", find},
    {"lower",
     [](Evaluator& self, const Text& text, const Arguments&) {
       return through_filter(self, text, "lower");
     }},
    {"lstrip",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return Value(strip(self, text, with.find(0, "chars"), -1));
     }},
    {"replace", replace},
    {"rsplit",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return split(self, text, with, true);
     }},
    {"rstrip",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return Value(strip(self, text, with.find(0, "chars"), 1));
     }},
    {"split",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return split(self, text, with, false);
     }},
    {"startswith",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return any_affix(
           self, with, [&](const Text& t) { return text.starts_with(t); });
     }},
    {"strip",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return Value(strip(self, text, with.find(0, "chars"), 0));
     }},
    {"upper",
     [](Evaluator& self, const Text& text, const Arguments&) {
       return through_filter(self, text, "upper");
     }},
};

Value dict_method(const Value& of, std::string_view name) {
  const auto method = [&](Function function) {
    return Value(std::move(function), of);
  };
  if (name == "items") {
    return method([of](Evaluator& self, const Arguments&) {
      return self.filter("items", of, {});
    });
  }
  if (name == "keys") {
    return method([of](Evaluator& self, const Arguments&) {
      return self.made(*self.iterate(of));
    });
  }
  if (name == "values") {
    return method([of](Evaluator& self, const Arguments&) {
      List out;
      for (const auto& [key, value] : of.as<Dict>()->items) {
        out.push_back(value);
      }
      return self.made(std::move(out));
    });
  }
  if (name != "get") return {};
  return method([of](Evaluator& self, const Arguments& with) {
    if (with.values.empty()) self.fail("get() takes a key");
    const auto* key = with.values[0].as<std::string>();
    const Dict& dict = *of.as<Dict>();
    self.charge(dict.items.size());
    const Value* found = key == nullptr ? nullptr : dict.find(*key);
    if (found != nullptr) return *found;
    return with.values.size() > 1 ? with.values[1] : Value(nullptr);
  });
}

// What would change a list or a dict: named, so that nobody wonders.
bool changes(std::string_view name, bool dict) {
  constexpr std::string_view kOfLists[] = {
      "append", "clear", "extend", "insert", "pop", "remove"};
  constexpr std::string_view kOfDicts[] = {
      "clear", "pop", "popitem", "setdefault", "update"};
  return dict ? std::ranges::find(kOfDicts, name) != std::end(kOfDicts)
              : std::ranges::find(kOfLists, name) != std::end(kOfLists);
}

}  // namespace

Value method_of(const Value& of, std::string_view name) {
  if (of.as<std::string>() != nullptr) {
    for (const Row& row : kTextMethods) {
      if (row.name != name) continue;
      return Function(
          [of, run = row.run](Evaluator& self, const Arguments& with) {
            self.charge(text_bytes(of));
            return run(self, *of.as<std::string>(), with);
          });
    }
    return {};
  }
  const bool dict = of.as<Dict>() != nullptr;
  if ((dict || of.as<List>() != nullptr) && changes(name, dict)) {
    return Function([method = std::string(name)](Evaluator& self,
                                                 const Arguments&) -> Value {
      self.fail(
          fmt::format("{}() is refused: templates change nothing but "
                      "namespaces",
                      method));
    });
  }
  return dict ? dict_method(of, name) : Value();
}

std::string strip(Evaluator& self,
                  std::string_view text,
                  const Value* characters,
                  int side) {
  constexpr std::size_t kMostCharacters = 256;  // each is looked for in them
  const std::string set = characters == nullptr || characters->is_none()
                              ? std::string()
                              : self.text_of(*characters);
  if (set.size() > kMostCharacters) {
    self.fail(fmt::format("strip: more than {} bytes of characters",
                          kMostCharacters));
  }
  const auto goes = [&](std::string_view bytes) {
    return set.empty() ? is_blank(bytes) : set.find(bytes) != set.npos;
  };
  while (side <= 0 && !text.empty()) {
    const std::size_t bytes = character_bytes(text[0]);
    if (!goes(text.substr(0, bytes))) break;
    text.remove_prefix(bytes);
  }
  while (side >= 0 && !text.empty()) {
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) {
      --at;
    }
    if (!goes(text.substr(at))) break;
    text = text.substr(0, at);
  }
  return std::string(text);
}

}  // namespace mantissa::text::chat
