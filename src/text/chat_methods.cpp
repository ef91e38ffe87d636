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

// Whether one of the affixes, a string or a tuple of them, fits.
template <typename F>
Value any_affix(Evaluator& self, const Arguments& with, F&& fits) {
  if (with.values.size() != 1) {
    self.fail("startswith() and endswith() take one argument here");
  }
  if (const auto* text = with.values[0].as<std::string>()) return fits(*text);
  for (const Value& item : self.iterate(with.values[0])) {
    const auto* text = item.as<std::string>();
    if (text != nullptr && fits(*text)) return true;
  }
  return false;
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
  const Value* separator = with.find(0, "sep");
  List out;
  self.charge(text.size());
  const auto more = [&] {
    return most < 0 || static_cast<std::int64_t>(out.size()) < most;
  };
  if (separator != nullptr && !separator->is_none()) {
    const Text by = to_text(*separator);
    if (by.empty()) self.fail("split: an empty separator");
    std::string_view rest = text;
    std::size_t at = 0;
    const auto find = [&] {
      return from_right ? rest.rfind(by) : rest.find(by);
    };
    while (more() && (at = find()) != rest.npos) {
      out.emplace_back(
          Text(from_right ? rest.substr(at + by.size()) : rest.substr(0, at)));
      rest = from_right ? rest.substr(0, at) : rest.substr(at + by.size());
    }
    out.emplace_back(Text(rest));
  } else {
    if (from_right && most >= 0) {
      self.fail("rsplit at blanks with maxsplit is not supported");
    }
    Text rest = strip(text, nullptr, -1);
    while (!rest.empty()) {
      std::size_t end = 0;
      while (end < rest.size() &&
             !is_white_space(
                 first_character(std::string_view(rest).substr(end)).code)) {
        end += character_bytes(rest[end]);
      }
      if (!more()) end = rest.size();
      out.emplace_back(rest.substr(0, end));
      rest = strip(std::string_view(rest).substr(end), nullptr, -1);
      self.charge(rest.size());
    }
    return out;
  }
  if (from_right) std::ranges::reverse(out);
  return out;
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
  for (std::size_t found = text.find(from); found != text.npos && most > 0;
       found = text.find(from, at), --most) {
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    self.charge(to.size());
    if (out.size() > (std::size_t{1} << 24)) self.charge(out.size());
  }
  out += text.substr(at);
  self.charge(out.size());
  return out;
}

Value find(Evaluator& self, const Text& text, const Arguments& with) {
  const std::size_t at = text.find(text_argument(self, with, 0));
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
     [](Evaluator&, const Text& text, const Arguments& with) {
       return Value(strip(text, with.find(0, "chars"), -1));
     }},
    {"replace", replace},
    {"rsplit",
     [](Evaluator& self, const Text& text, const Arguments& with) {
       return split(self, text, with, true);
     }},
    {"rstrip",
     [](Evaluator&, const Text& text, const Arguments& with) {
       return Value(strip(text, with.find(0, "chars"), 1));
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
     [](Evaluator&, const Text& text, const Arguments& with) {
       return Value(strip(text, with.find(0, "chars"), 0));
     }},
    {"upper",
     [](Evaluator& self, const Text& text, const Arguments&) {
       return through_filter(self, text, "upper");
     }},
};

Value dict_method(const Value& of, std::string_view name) {
  if (name == "items") {
    return Function([of](Evaluator& self, const Arguments&) {
      return self.filter("items", of, {});
    });
  }
  if (name == "keys") {
    return Function([of](Evaluator& self, const Arguments&) {
      return Value(self.iterate(of));
    });
  }
  if (name == "values") {
    return Function([of](Evaluator& self, const Arguments&) {
      List out;
      for (const auto& [key, value] : of.as<Dict>()->items) {
        out.push_back(value);
      }
      self.charge(out.size());
      return Value(std::move(out));
    });
  }
  if (name != "get") return {};
  return Function([of](Evaluator& self, const Arguments& with) {
    if (with.values.empty()) self.fail("get() takes a key");
    const auto* key = with.values[0].as<std::string>();
    const Value* found = key == nullptr ? nullptr : of.as<Dict>()->find(*key);
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

std::string strip(std::string_view text, const Value* characters, int side) {
  const std::string set = characters == nullptr || characters->is_none()
                              ? std::string()
                              : to_text(*characters);
  const auto goes = [&](std::string_view bytes) {
    if (!set.empty()) return set.find(bytes) != set.npos;
    const char32_t c = first_character(bytes).code;
    return is_white_space(c) || (c >= 0x1c && c <= 0x1f);
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
