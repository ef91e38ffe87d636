#include <fmt/format.h>

#include "core/quoted.h"
#include "text/chat_evaluator.h"

namespace mantissa::text::chat {
namespace {

using Test = bool (*)(Evaluator&, const Value&, const Arguments&);

const Value& argument(Evaluator& self, const Arguments& with) {
  if (with.values.empty()) self.fail("a test without its argument");
  return with.values[0];
}

std::int64_t integer(Evaluator& self, const Value& value) {
  std::int64_t out = 0;
  if (!is_integer(value, out)) {
    self.fail(
        fmt::format("the test takes an integer, got {}", type_name(value)));
  }
  return out;
}

bool is_any_number(const Value& value) {
  double number = 0;
  return is_number(value, number);
}

bool is_sequence(const Value& value) {
  return value.as<std::string>() != nullptr || value.as<List>() != nullptr ||
         value.as<Dict>() != nullptr;
}

bool same(Evaluator& self, const Value& in, const Arguments& with) {
  return self.equal(in, argument(self, with));
}

bool different(Evaluator& self, const Value& in, const Arguments& with) {
  return !self.equal(in, argument(self, with));
}

bool identical(Evaluator& self, const Value& in, const Arguments& with) {
  const Value& other = argument(self, with);
  return in.data.index() == other.data.index() && self.equal(in, other);
}

bool below(Evaluator& self, const Value& in, const Arguments& with) {
  return self.less(in, argument(self, with));
}

bool above(Evaluator& self, const Value& in, const Arguments& with) {
  return self.less(argument(self, with), in);
}

bool contained(Evaluator& self, const Value& in, const Arguments& with) {
  const Value& whole = argument(self, with);
  if (const auto* text = whole.as<std::string>()) {
    const auto* part = in.as<std::string>();
    if (part == nullptr) return false;
    self.charge(text->size());
    return self.find_text(*text, *part) != text->npos;
  }
  const auto items = self.iterate(whole);
  for (const Value& item : *items) {
    if (self.equal(in, item)) return true;
  }
  return false;
}

template <typename T>
bool holds(Evaluator&, const Value& in, const Arguments&) {
  return in.as<T>() != nullptr;
}

template <bool kWanted>
bool is_flag(Evaluator&, const Value& in, const Arguments&) {
  const bool* flag = in.as<bool>();
  return flag != nullptr && *flag == kWanted;
}

template <bool kWanted>
bool is_defined(Evaluator&, const Value& in, const Arguments&) {
  return in.is_undefined() != kWanted;
}

struct Row {
  std::string_view name;
  Test run;
};

constexpr Row kRows[] = {
    {"==", same},
    {"!=", different},
    {">", above},
    {"<", below},
    {"boolean", holds<bool>},
    {"callable", holds<Function>},
    {"defined", is_defined<true>},
    {"divisibleby",
     [](Evaluator& self, const Value& in, const Arguments& with) {
       const std::int64_t by = integer(self, argument(self, with));
       if (by == 0) self.fail("divisibleby 0");
       return by == -1 || integer(self, in) % by == 0;
     }},
    {"eq", same},
    {"equalto", same},
    {"even",
     [](Evaluator& self, const Value& in, const Arguments&) {
       return integer(self, in) % 2 == 0;
     }},
    {"false", is_flag<false>},
    {"float", holds<double>},
    {"ge",
     [](Evaluator& self, const Value& in, const Arguments& with) {
       return above(self, in, with) || same(self, in, with);
     }},
    {"greaterthan", above},
    {"gt", above},
    {"in", contained},
    {"integer", holds<std::int64_t>},
    {"iterable",
     [](Evaluator&, const Value& in, const Arguments&) {
       return is_sequence(in) || in.is_undefined();
     }},
    {"le",
     [](Evaluator& self, const Value& in, const Arguments& with) {
       return below(self, in, with) || same(self, in, with);
     }},
    {"lessthan", below},
    {"lt", below},
    {"mapping", holds<Dict>},
    {"ne", different},
    {"none",
     [](Evaluator&, const Value& in, const Arguments&) {
       return in.is_none();
     }},
    {"number",
     [](Evaluator&, const Value& in, const Arguments&) {
       return is_any_number(in);
     }},
    {"odd",
     [](Evaluator& self, const Value& in, const Arguments&) {
       return integer(self, in) % 2 != 0;
     }},
    {"sameas", identical},
    {"sequence",
     [](Evaluator&, const Value& in, const Arguments&) {
       return is_sequence(in) || in.is_undefined();
     }},
    {"string", holds<std::string>},
    {"true", is_flag<true>},
    {"undefined", is_defined<false>},
};

}  // namespace

bool Evaluator::test(std::string_view name,
                     const Value& in,
                     const Arguments& with) {
  charge(text_bytes(with));
  std::string names;
  for (const Row& row : kRows) {
    if (row.name == name) return row.run(*this, in, with);
    names += (names.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(fmt::format("the test {} is not supported; supported are {}",
                   quoted_name(name),
                   names));
}

}  // namespace mantissa::text::chat
