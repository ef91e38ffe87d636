#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "text/chat_evaluator.h"

namespace mantissa::text::chat {

bool Evaluator::less(const Value& a, const Value& b) {
  double left = 0;
  double right = 0;
  std::int64_t whole_left = 0;
  std::int64_t whole_right = 0;
  if (is_integer(a, whole_left) && is_integer(b, whole_right)) {
    return whole_left < whole_right;
  }
  if (is_number(a, left) && is_number(b, right)) return left < right;
  const auto* text = a.as<std::string>();
  const auto* other = b.as<std::string>();
  if (text != nullptr && other != nullptr) {
    charge(std::min(text->size(), other->size()));
    return *text < *other;
  }
  fail(fmt::format("{} and {} have no order", type_name(a), type_name(b)));
}

bool Evaluator::compare(const std::string& op, const Value& a, const Value& b) {
  if (op == "==") return equal(a, b);
  if (op == "!=") return !equal(a, b);
  if (op == "<") return less(a, b);
  if (op == ">") return less(b, a);
  if (op == "<=") return less(a, b) || equal(a, b);
  if (op == ">=") return less(b, a) || equal(a, b);
  bool found = false;
  if (const auto* text = b.as<std::string>()) {
    const auto* part = a.as<std::string>();
    if (part == nullptr) {
      fail(fmt::format("{} cannot be in a string", type_name(a)));
    }
    charge(text->size());
    found = find_text(*text, *part) != text->npos;
  } else {
    const auto items = iterate(b);
    for (const Value& item : *items) found = found || equal(a, item);
  }
  return found == (op == "in");
}

Value Evaluator::compare(const Expr& expr) {
  Value left = eval(*expr.kids[0]);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = eval(*expr.kids[i + 1]);
    if (!compare(expr.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::binary(const Expr& expr) {
  const Value a = eval(*expr.kids[0]);
  const Value b = eval(*expr.kids[1]);
  if (expr.text == "~") {
    return text_of(a) + text_of(b);
  }
  if (expr.text == "+") return sum(a, b);
  if (expr.text == "*") return product(a, b);
  return arithmetic(expr.text, a, b);
}

Value Evaluator::sum(const Value& a, const Value& b) {
  const auto* text_a = a.as<std::string>();
  const auto* text_b = b.as<std::string>();
  if (text_a != nullptr && text_b != nullptr) {
    charge(text_a->size() + text_b->size());
    return *text_a + *text_b;
  }
  const auto* list_a = a.as<List>();
  const auto* list_b = b.as<List>();
  if (list_a != nullptr && list_b != nullptr && a.tuple == b.tuple) {
    List out = *list_a;
    out.insert(out.end(), list_b->begin(), list_b->end());
    return made(std::move(out), a.tuple);
  }
  return arithmetic("+", a, b);
}

Value Evaluator::product(const Value& a, const Value& b) {
  const auto* text = a.as<std::string>();
  std::int64_t times = 0;
  if (text == nullptr || !is_integer(b, times)) return arithmetic("*", a, b);
  if (times <= 0 || text->empty()) return "";
  const std::size_t most = kMaxBytes / text->size();
  if (static_cast<std::uint64_t>(times) > most) stop();
  charge(text->size() * static_cast<std::size_t>(times));
  std::string out;
  for (std::int64_t i = 0; i < times; ++i) out += *text;
  return out;
}

// Python's numbers; integers stay within 64 bits.
Value Evaluator::arithmetic(const std::string& op,
                            const Value& a,
                            const Value& b) {
  double x = 0;
  double y = 0;
  if (!is_number(a, x) || !is_number(b, y)) {
    fail(fmt::format(
        "'{}' of {} and {} is not supported", op, type_name(a), type_name(b)));
  }
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && y == 0) fail("division by zero");
  std::int64_t i = 0;
  std::int64_t j = 0;
  if (op != "/" && is_integer(a, i) && is_integer(b, j) &&
      (op != "**" || j >= 0)) {
    std::int64_t out = 0;
    bool over = false;
    if (op == "+") over = __builtin_add_overflow(i, j, &out);
    if (op == "-") over = __builtin_sub_overflow(i, j, &out);
    if (op == "*") over = __builtin_mul_overflow(i, j, &out);
    if (op == "//" || op == "%") {
      over = i == INT64_MIN && j == -1;
      const std::int64_t rest = over ? 0 : i % j;
      const bool other_sign = rest != 0 && (rest < 0) != (j < 0);
      if (op == "%") {
        out = other_sign ? rest + j : rest;
      } else if (!over) {
        out = i / j - (other_sign ? 1 : 0);
      }
    }
    if (op == "**") {
      if (j > 64 && (i > 1 || i < -1)) over = true;
      out = 1;
      for (std::int64_t n = 0;
           n < (over ? 0 : std::min<std::int64_t>(j, 64 + j % 2));
           ++n) {
        over = over || __builtin_mul_overflow(out, i, &out);
      }
    }
    if (over) fail(fmt::format("'{}' leaves the integers of 64 bits", op));
    return out;
  }
  if (op == "+") return x + y;
  if (op == "-") return x - y;
  if (op == "*") return x * y;
  if (op == "/") return x / y;
  if (op == "//") return std::floor(x / y);
  if (op == "**") return std::pow(x, y);
  return x - y * std::floor(x / y);
}

}  // namespace mantissa::text::chat
