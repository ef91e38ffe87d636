#include "text/chat_evaluator.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/characters.h"
#include "text/chat_lexer.h"

namespace mantissa::text::chat {
namespace {

using Kind = Expr::Kind;

// A long conversation takes some thousand steps, and is read or copied a dozen
// times.
constexpr std::size_t kMaxSteps = 1'000'000;
constexpr std::size_t kBytesPerStep = 32;
constexpr int kMaxDepth = 1024;
// A conversation from outside has at most 64 levels.
constexpr int kMaxValueDepth = 100;
// Up to this length of what is looked for, looking at each place is quick.
constexpr std::size_t kShortPart = 32;

}  // namespace

std::size_t text_bytes(const Value& value) {
  const auto* text = value.as<std::string>();
  return text == nullptr ? 0 : text->size();
}

std::size_t text_bytes(const Arguments& with) {
  std::size_t bytes = 64 * (with.values.size() + with.named.size());
  for (const Value& value : with.values) bytes += text_bytes(value);
  for (const auto& [name, value] : with.named) bytes += text_bytes(value);
  return bytes;
}

Evaluator::~Evaluator() {
  for (const auto& held : namespaces_) held->fields.items.clear();
}

void Evaluator::fail(std::string_view what) const { refuse_at(line_, what); }

void Evaluator::stop() const {
  throw Error(ErrorKind::Resources,
              fmt::format("chat template, line {}: runs too long or makes "
                          "too much; the limits are {} steps and {} bytes",
                          line_,
                          kMaxSteps,
                          kMaxBytes));
}

void Evaluator::charge(std::size_t bytes) {
  steps_ += 1 + bytes / kBytesPerStep;
  if (steps_ > kMaxSteps || bytes > kMaxBytes) stop();
}

void Evaluator::enter(int frames) {
  depth_ += frames;
  if (depth_ > kMaxDepth) {
    throw Error(ErrorKind::Resources,
                fmt::format("chat template, line {}: nests too deeply", line_));
  }
}

Value Evaluator::made(List items, bool tuple) {
  charge_values(items.size());
  return {std::move(items), tuple};
}

std::string Evaluator::text_of(const Value& value) {
  charge(value.weight);
  return to_text(value);
}

bool Evaluator::equal(const Value& a, const Value& b) {
  charge(std::min(a.weight, b.weight));
  return are_equal(a, b);
}

// Knuth, Morris and Pratt where the standard library's search, which may look
// at all of `part` at each place, could take long.
std::size_t Evaluator::find_text(std::string_view text,
                                 std::string_view part,
                                 std::size_t from) {
  if (part.size() <= kShortPart) return text.find(part, from);
  charge(part.size() * sizeof(std::size_t));
  std::vector<std::size_t> border(part.size());  // of part[0..i]
  const auto longest = [&](std::size_t length, char next) {
    while (length > 0 && part[length] != next) length = border[length - 1];
    return part[length] == next ? length + 1 : 0;
  };
  for (std::size_t i = 1; i < part.size(); ++i) {
    border[i] = longest(border[i - 1], part[i]);
  }
  std::size_t length = 0;
  for (std::size_t i = from; i < text.size(); ++i) {
    length = longest(length, text[i]);
    if (length == part.size()) return i + 1 - length;
  }
  return text.npos;
}

Value Evaluator::eval(const Expr& expr) {
  const int line = line_;
  line_ = expr.line;
  charge();
  enter(1);
  Value value = eval_now(expr);
  if (value.weight > kMaxBytes || value.depth > kMaxValueDepth) stop();
  --depth_;
  line_ = line;
  return value;
}

Value Evaluator::eval_now(const Expr& expr) {
  const auto kid = [&](std::size_t i) { return eval(*expr.kids[i]); };
  switch (expr.kind) {
    case Kind::Literal:
      return expr.value;
    case Kind::Name:
      return name(expr.text);
    case Kind::Attribute:
      return attribute(kid(0), expr.text);
    case Kind::Index:
      return item(kid(0), kid(1));
    case Kind::Slice:
      return slice(expr);
    case Kind::Call: {
      const Value function = kid(0);
      return call(function, arguments(expr));
    }
    case Kind::Filter: {
      const Value in = kid(0);
      return filter(expr.text, in, arguments(expr));
    }
    case Kind::Test: {
      const Value in = kid(0);
      return test(expr.text, in, arguments(expr));
    }
    case Kind::Not:
      return !is_true(kid(0));
    case Kind::Negative:
      return arithmetic("-", std::int64_t{0}, kid(0));
    case Kind::Positive:
      return arithmetic("+", std::int64_t{0}, kid(0));
    case Kind::Binary:
      return binary(expr);
    case Kind::Compare:
      return compare(expr);
    case Kind::And: {
      Value left = kid(0);
      return is_true(left) ? kid(1) : left;
    }
    case Kind::Or: {
      Value left = kid(0);
      return is_true(left) ? left : kid(1);
    }
    case Kind::Choice:
      if (is_true(kid(0))) return kid(1);
      return expr.kids[2] == nullptr
                 ? Value::undefined("the value without else")
                 : kid(2);
    case Kind::List:
    case Kind::Tuple: {
      List list;
      for (const ExprPtr& part : expr.kids) list.push_back(eval(*part));
      return {std::move(list), expr.kind == Kind::Tuple};
    }
    case Kind::Dict:
      return dict(expr);
  }
  return {};
}

Value Evaluator::name(const std::string& name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    charge(2 * scope->names.size());
    for (const auto& [key, value] : scope->names) {
      if (key == name) return value;
    }
  }
  Value function = global_function(name);
  return function.is_undefined() ? Value::undefined(name) : function;
}

Value Evaluator::attribute(const Value& of, const std::string& name) {
  if (name.starts_with('_')) {
    fail(fmt::format("access to the attribute {} is refused: it begins with _",
                     quoted_name(name)));
  }
  if (const auto* undefined = of.as<Undefined>()) {
    fail(fmt::format("{} is undefined and has no attribute {}",
                     quoted_name(undefined->name),
                     quoted_name(name)));
  }
  Value method = method_of(of, name);
  if (!method.is_undefined()) return method;
  const Value* found = nullptr;
  if (const auto* dict = of.as<Dict>()) {
    charge(2 * dict->items.size());
    found = dict->find(name);
  }
  if (const auto* held = of.as_namespace()) found = held->fields.find(name);
  return found == nullptr ? Value::undefined(name) : *found;
}

Value Evaluator::item(const Value& of, const Value& key) {
  if (const auto* text = key.as<std::string>()) {
    if (const auto* dict = of.as<Dict>()) {
      charge(2 * dict->items.size());
      const Value* found = dict->find(*text);
      if (found != nullptr) return *found;
    }
    return attribute(of, *text);
  }
  std::int64_t index = 0;
  if (of.is_undefined()) fail("an undefined value has no items");
  if (!is_integer(key, index)) return Value::undefined("item");
  if (const auto* list = of.as<List>()) {
    const auto size = static_cast<std::int64_t>(list->size());
    if (index < 0) index += size;
    if (index < 0 || index >= size) return Value::undefined("item");
    return (*list)[static_cast<std::size_t>(index)];
  }
  if (const auto* text = of.as<std::string>()) {
    charge(text->size());
    const std::int64_t size = length_of(*text);
    if (index < 0) index += size;
    if (index < 0 || index >= size) return Value::undefined("item");
    std::string_view rest = *text;
    while (index-- > 0) rest.remove_prefix(character_bytes(rest[0]));
    return std::string(rest.substr(0, character_bytes(rest[0])));
  }
  return Value::undefined("item");
}

// A part of a slice; INT64_MIN when it is left out or None.
std::int64_t Evaluator::slice_bound(const Expr* part, std::int64_t otherwise) {
  if (part == nullptr) return otherwise;
  const Value given = eval(*part);
  std::int64_t value = otherwise;
  if (!given.is_none() && !is_integer(given, value)) {
    fail("slice bounds are integers");
  }
  return value;
}

Value Evaluator::slice(const Expr& expr) {
  const Value of = eval(*expr.kids[0]);
  const auto* text = of.as<std::string>();
  const auto* list = of.as<List>();
  if (text == nullptr && list == nullptr) {
    fail(fmt::format("{} cannot be sliced", type_name(of)));
  }
  // Where the characters begin.
  std::vector<std::uint32_t> places;
  if (text != nullptr) {
    charge(text->size() * sizeof(std::uint32_t));
    std::uint32_t at = 0;
    for_each_character(*text, [&](char32_t, std::string_view bytes) {
      places.push_back(at);
      at += static_cast<std::uint32_t>(bytes.size());
    });
  }
  const auto size =
      static_cast<std::int64_t>(text != nullptr ? places.size() : list->size());
  const std::int64_t step = slice_bound(expr.kids[3].get(), 1);
  if (step == 0) fail("a slice with step 0");
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    std::int64_t value = slice_bound(expr.kids[i].get(), INT64_MIN);
    if (value == INT64_MIN) return otherwise;
    if (value < 0) value = value < -size ? low : value + size;
    return std::clamp(value, low, high);
  };
  const std::int64_t begin = bound(1, step > 0 ? low : high);
  const std::int64_t end = bound(2, step > 0 ? high : low);
  std::string cut;
  List items;
  const std::int64_t stride =
      std::clamp<std::int64_t>(step, -size - 1, size + 1);
  for (std::int64_t i = begin; stride > 0 ? i < end : i > end; i += stride) {
    const auto at = static_cast<std::size_t>(i);
    if (text != nullptr) {
      const std::string_view rest = std::string_view(*text).substr(places[at]);
      cut += rest.substr(0, character_bytes(rest[0]));
    } else {
      items.push_back((*list)[at]);
    }
  }
  if (text != nullptr) return cut;
  return made(std::move(items), of.tuple);
}

Arguments Evaluator::arguments(const Expr& call) {
  Arguments out;
  for (std::size_t i = 1; i < call.kids.size(); ++i) {
    out.values.push_back(eval(*call.kids[i]));
  }
  for (const auto& [name, value] : call.named) {
    out.named.emplace_back(name, eval(*value));
  }
  return out;
}

Value Evaluator::call(const Value& function, const Arguments& arguments) {
  if (const auto* undefined = function.as<Undefined>()) {
    fail(
        fmt::format("{} is undefined and cannot be called; functions are "
                    "dict, namespace, raise_exception, range, strftime_now",
                    quoted_name(undefined->name)));
  }
  const auto* callable = function.as<Function>();
  if (callable == nullptr) {
    fail(fmt::format("{} cannot be called", type_name(function)));
  }
  charge(text_bytes(arguments));
  return (*callable)(*this, arguments);
}

Value Evaluator::dict(const Expr& expr) {
  Dict out;
  for (std::size_t i = 0; i < expr.kids.size(); i += 2) {
    const Value key = eval(*expr.kids[i]);
    const auto* text = key.as<std::string>();
    if (text == nullptr) fail("keys of dicts are strings here");
    Value value = eval(*expr.kids[i + 1]);
    bool known = false;
    charge(2 * out.items.size());
    for (auto& [name, old] : out.items) {
      if (name != *text) continue;
      old = value;
      known = true;
    }
    if (!known) out.items.emplace_back(*text, std::move(value));
  }
  return out;
}

std::shared_ptr<const List> Evaluator::iterate(const Value& value) {
  if (const auto* list =
          std::get_if<std::shared_ptr<const List>>(&value.data)) {
    charge((*list)->size());
    return *list;
  }
  auto out = std::make_shared<List>();
  if (const auto* dict = value.as<Dict>()) {
    charge_values(2 * dict->items.size());
    for (const auto& [key, item] : dict->items) out->emplace_back(key);
  } else if (const auto* text = value.as<std::string>()) {
    charge_values(2 * text->size());
    for_each_character(*text, [&](char32_t, std::string_view bytes) {
      out->emplace_back(std::string(bytes));
    });
  } else if (!value.is_undefined()) {
    fail(fmt::format("{} cannot be iterated", type_name(value)));
  }
  return out;
}

Value Evaluator::make_namespace(const Arguments& fields) {
  auto held = std::make_shared<Namespace>();
  charge_values(4);
  for (const Value& value : fields.values) {
    const auto* dict = value.as<Dict>();
    if (dict == nullptr) fail("namespace() takes dicts and name=value");
    charge_values(2 * dict->items.size());
    held->fields = *dict;
  }
  for (const auto& [name, value] : fields.named) {
    if (name.starts_with('_')) fail("names in a namespace begin without _");
    held->fields.items.emplace_back(name, value);
  }
  namespaces_.push_back(held);
  Value out;
  out.data = std::move(held);
  return out;
}

}  // namespace mantissa::text::chat
