#include "text/chat_evaluator.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/chat_lexer.h"

namespace mantissa::text::chat {
namespace {

using Kind = Expr::Kind;

// A long conversation takes some thousand steps.
constexpr std::size_t kMaxSteps = 2'000'000;
constexpr std::size_t kItemsPerStep = 64;
constexpr std::size_t kMaxItems = std::size_t{1} << 24;
constexpr int kMaxDepth = 256;

}  // namespace

Evaluator::~Evaluator() {
  for (const auto& held : namespaces_) held->fields.items.clear();
}

void Evaluator::fail(std::string_view what) const { refuse_at(line_, what); }

void Evaluator::charge(std::size_t items) {
  steps_ += 1 + items / kItemsPerStep;
  if (steps_ > kMaxSteps || items > kMaxItems) {
    throw Error(ErrorKind::Resources,
                fmt::format("chat template, line {}: runs too long or makes "
                            "too much; the limits are {} steps and {} bytes",
                            line_,
                            kMaxSteps,
                            kMaxItems));
  }
}

Value Evaluator::eval(const Expr& expr) {
  const int line = line_;
  line_ = expr.line;
  charge();
  if (++depth_ > kMaxDepth * 4) {
    throw Error(ErrorKind::Resources,
                fmt::format("chat template, line {}: nests too deeply", line_));
  }
  Value value = eval_now(expr);
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
  if (const auto* dict = of.as<Dict>()) found = dict->find(name);
  if (const auto* held = of.as_namespace()) found = held->fields.find(name);
  return found == nullptr ? Value::undefined(name) : *found;
}

Value Evaluator::item(const Value& of, const Value& key) {
  if (const auto* text = key.as<std::string>()) {
    if (const auto* dict = of.as<Dict>()) {
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
    const auto characters = characters_of(*text);
    charge(text->size());
    const auto size = static_cast<std::int64_t>(characters.size());
    if (index < 0) index += size;
    if (index < 0 || index >= size) return Value::undefined("item");
    return std::string(characters[static_cast<std::size_t>(index)]);
  }
  return Value::undefined("item");
}

Value Evaluator::slice(const Expr& expr) {
  const Value of = eval(*expr.kids[0]);
  const auto* text = of.as<std::string>();
  const auto* list = of.as<List>();
  if (text == nullptr && list == nullptr) {
    fail(fmt::format("{} cannot be sliced", type_name(of)));
  }
  const auto characters =
      text != nullptr ? characters_of(*text) : std::vector<std::string_view>();
  const auto size = static_cast<std::int64_t>(
      text != nullptr ? characters.size() : list->size());
  charge(static_cast<std::size_t>(size));
  const auto part = [&](std::size_t i, std::int64_t otherwise) {
    std::int64_t value = otherwise;
    if (expr.kids[i] == nullptr) return value;
    const Value given = eval(*expr.kids[i]);
    if (given.is_none()) return value;
    if (!is_integer(given, value)) fail("slice bounds are integers");
    return value;
  };
  const std::int64_t step = part(3, 1);
  if (step == 0) fail("a slice with step 0");
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? size : size - 1;
  const auto bound = [&](std::size_t i, std::int64_t otherwise) {
    if (expr.kids[i] == nullptr) return otherwise;
    std::int64_t value = part(i, INT64_MIN);
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
      cut += characters[at];
    } else {
      items.push_back((*list)[at]);
    }
  }
  if (text != nullptr) return cut;
  return {std::move(items), of.tuple};
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
    for (auto& [name, old] : out.items) {
      if (name != *text) continue;
      old = value;
      known = true;
    }
    if (!known) out.items.emplace_back(*text, std::move(value));
  }
  return out;
}

List Evaluator::iterate(const Value& value) {
  List out;
  if (value.is_undefined()) return out;
  if (const auto* list = value.as<List>()) {
    out = *list;
  } else if (const auto* dict = value.as<Dict>()) {
    for (const auto& [key, item] : dict->items) out.emplace_back(key);
  } else if (const auto* text = value.as<std::string>()) {
    for (const auto c : characters_of(*text)) out.emplace_back(std::string(c));
  } else {
    fail(fmt::format("{} cannot be iterated", type_name(value)));
  }
  charge(out.size());
  return out;
}

Value Evaluator::make_namespace(const Arguments& fields) {
  auto held = std::make_shared<Namespace>();
  for (const Value& value : fields.values) {
    const auto* dict = value.as<Dict>();
    if (dict == nullptr) fail("namespace() takes dicts and name=value");
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
