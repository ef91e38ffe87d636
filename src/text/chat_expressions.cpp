#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "core/quoted.h"
#include "text/chat_token_stream.h"

namespace mantissa::text::chat {
namespace {

using Kind = Expr::Kind;

// Real templates nest a few levels.
constexpr int kMaxDepth = 64;
// A chain of operators is a tree as deep as it is long.
constexpr int kMaxChain = 256;

void check_chain(int length, int line) {
  if (length > kMaxChain) {
    fail_at(line, fmt::format("more than {} operators in a row", kMaxChain));
  }
}

ExprPtr make(Kind kind, int line) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  return expr;
}

// Trees are walked by recursion, and their chains lie in one another.
void add(Expr& parent, ExprPtr kid) {
  constexpr int kMaxTree = 1000;
  if (kid != nullptr) parent.depth = std::max(parent.depth, kid->depth + 1);
  if (parent.depth > kMaxTree) {
    fail_at(parent.line,
            fmt::format("an expression nests deeper than {} levels", kMaxTree));
  }
  parent.kids.push_back(std::move(kid));
}

ExprPtr make(Kind kind, int line, ExprPtr kid) {
  auto expr = make(kind, line);
  add(*expr, std::move(kid));
  return expr;
}

ExprPtr literal(Value value, int line) {
  auto expr = make(Kind::Literal, line);
  expr->value = std::move(value);
  return expr;
}

// From what binds weakest.
constexpr std::string_view kLevels[][4] = {
    {"+", "-", "", ""}, {"~", "", "", ""}, {"*", "/", "//", "%"}, {"**"}};
constexpr int kLevelCount = 4;

Value number(const Token& token) {
  const char* end = token.text.data() + token.text.size();
  if (token.kind == Token::Kind::Float) {
    double value = 0;
    std::from_chars(token.text.data(), end, value);
    return value;
  }
  std::int64_t value = 0;
  if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
    fail_at(token.line, "an integer beyond 64 bits");
  }
  return value;
}

}  // namespace

const Token& TokenStream::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token TokenStream::next() {
  Token token = peek();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::is(std::string_view op) const {
  return peek().kind == Token::Kind::Operator && peek().text == op;
}

bool TokenStream::is_name(std::string_view name) const {
  return peek().kind == Token::Kind::Name && peek().text == name;
}

bool TokenStream::accept(std::string_view op) {
  const bool found = is(op);
  if (found) next();
  return found;
}

bool TokenStream::accept_name(std::string_view name) {
  const bool found = is_name(name);
  if (found) next();
  return found;
}

void TokenStream::expect(std::string_view op) {
  if (!accept(op)) {
    fail_at(line(),
            fmt::format("expected '{}', got {}", op, quoted_name(peek().text)));
  }
}

std::string TokenStream::expect_name() {
  if (peek().kind != Token::Kind::Name) unexpected();
  return next().text;
}

void TokenStream::expect_end_of_tag() {
  const auto kind = peek().kind;
  if (kind != Token::Kind::BlockEnd && kind != Token::Kind::OutputEnd) {
    unexpected();
  }
  next();
}

void TokenStream::unexpected() const {
  const bool end = peek().kind == Token::Kind::BlockEnd ||
                   peek().kind == Token::Kind::OutputEnd;
  fail_at(line(),
          end ? "unexpected end of the tag"
              : fmt::format("unexpected {}", quoted_name(peek().text)));
}

ExprPtr ExpressionParser::expression() {
  if (++depth_ > kMaxDepth) {
    fail_at(tokens_.line(),
            fmt::format("expressions nest deeper than {} levels", kMaxDepth));
  }
  ExprPtr out = choice();
  --depth_;
  return out;
}

ExprPtr ExpressionParser::tuple() {
  const int line = tokens_.line();
  ExprPtr first = expression();
  if (!tokens_.is(",")) return first;
  ExprPtr out = make(Kind::Tuple, line, std::move(first));
  while (tokens_.accept(",")) {
    const auto kind = tokens_.peek().kind;
    if (kind == Token::Kind::BlockEnd || kind == Token::Kind::OutputEnd) break;
    add(*out, expression());
  }
  return out;
}

ExprPtr ExpressionParser::choice() {
  ExprPtr value = either();
  for (int i = 0; tokens_.is_name("if"); ++i) {
    check_chain(i, tokens_.line());
    const int line = tokens_.line();
    tokens_.next();
    ExprPtr out = make(Kind::Choice, line, either());
    add(*out, std::move(value));
    add(*out, tokens_.accept_name("else") ? expression() : nullptr);
    value = std::move(out);
  }
  return value;
}

ExprPtr ExpressionParser::either() {
  ExprPtr left = both();
  for (int i = 0; tokens_.is_name("or"); ++i) {
    check_chain(i, tokens_.line());
    const int line = tokens_.next().line;
    left = make(Kind::Or, line, std::move(left));
    add(*left, both());
  }
  return left;
}

ExprPtr ExpressionParser::both() {
  ExprPtr left = negation();
  for (int i = 0; tokens_.is_name("and"); ++i) {
    check_chain(i, tokens_.line());
    const int line = tokens_.next().line;
    left = make(Kind::And, line, std::move(left));
    add(*left, negation());
  }
  return left;
}

ExprPtr ExpressionParser::negation() {
  std::vector<int> lines;
  while (tokens_.is_name("not")) lines.push_back(tokens_.next().line);
  if (lines.size() > kMaxDepth) fail_at(lines[0], "too many 'not' in a row");
  ExprPtr out = comparison();
  for (const int line : lines) out = make(Kind::Not, line, std::move(out));
  return out;
}

ExprPtr ExpressionParser::comparison() {
  const int line = tokens_.line();
  ExprPtr first = binary(0);
  ExprPtr out;
  while (true) {
    std::string op;
    for (const std::string_view known : {"==", "!=", "<", "<=", ">", ">="}) {
      if (tokens_.is(known)) op = known;
    }
    if (tokens_.is_name("in")) op = "in";
    if (tokens_.is_name("not") && tokens_.peek(1).kind == Token::Kind::Name &&
        tokens_.peek(1).text == "in") {
      tokens_.next();
      op = "not in";
    }
    if (op.empty()) return out == nullptr ? std::move(first) : std::move(out);
    tokens_.next();
    if (out == nullptr) out = make(Kind::Compare, line, std::move(first));
    out->operators.push_back(op);
    add(*out, binary(0));
  }
}

ExprPtr ExpressionParser::binary(int level) {
  if (level == kLevelCount) return unary(true);
  ExprPtr left = binary(level + 1);
  for (int i = 0;; ++i) {
    check_chain(i, tokens_.line());
    std::string_view op;
    for (const std::string_view known : kLevels[level]) {
      if (!known.empty() && tokens_.is(known)) op = known;
    }
    if (op.empty()) return left;
    const int line = tokens_.next().line;
    left = make(Kind::Binary, line, std::move(left));
    left->text = op;
    add(*left, binary(level + 1));
  }
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  const int line = tokens_.line();
  ExprPtr out;
  if (tokens_.is("-") || tokens_.is("+")) {
    if (++depth_ > kMaxDepth) fail_at(line, "too many signs in a row");
    const Kind kind =
        tokens_.next().text == "-" ? Kind::Negative : Kind::Positive;
    out = make(kind, line, unary(false));
    --depth_;
  } else {
    out = postfix(primary());
  }
  return with_filters ? filters(std::move(out)) : std::move(out);
}

ExprPtr ExpressionParser::primary() {
  const Token token = tokens_.peek();
  const int line = token.line;
  if (token.kind == Token::Kind::Integer || token.kind == Token::Kind::Float) {
    tokens_.next();
    return literal(number(token), line);
  }
  if (token.kind == Token::Kind::String) {
    std::string text;
    while (tokens_.peek().kind == Token::Kind::String) {
      text += tokens_.next().text;
    }
    return literal(std::move(text), line);
  }
  if (token.kind == Token::Kind::Name) {
    tokens_.next();
    if (token.text == "true" || token.text == "True")
      return literal(true, line);
    if (token.text == "false" || token.text == "False") {
      return literal(false, line);
    }
    if (token.text == "none" || token.text == "None") {
      return literal(nullptr, line);
    }
    ExprPtr name = make(Kind::Name, line);
    name->text = token.text;
    return name;
  }
  if (tokens_.accept("[")) {
    ExprPtr list = make(Kind::List, line);
    items(*list, "]");
    return list;
  }
  if (tokens_.is("{")) return dict();
  if (!tokens_.accept("(")) tokens_.unexpected();
  if (tokens_.accept(")")) return make(Kind::Tuple, line);
  ExprPtr inner = expression();
  if (!tokens_.is(",")) {
    tokens_.expect(")");
    return inner;
  }
  tokens_.next();
  ExprPtr out = make(Kind::Tuple, line, std::move(inner));
  items(*out, ")");
  return out;
}

void ExpressionParser::items(Expr& list, std::string_view end) {
  while (!tokens_.accept(end)) {
    add(list, expression());
    if (!tokens_.is(end)) tokens_.expect(",");
  }
}

ExprPtr ExpressionParser::dict() {
  ExprPtr out = make(Kind::Dict, tokens_.next().line);
  while (!tokens_.accept("}")) {
    add(*out, expression());
    tokens_.expect(":");
    add(*out, expression());
    if (!tokens_.is("}")) tokens_.expect(",");
  }
  return out;
}

// A chain a.b[c](d) makes a tree as deep as it is long: the length is bounded.
ExprPtr ExpressionParser::postfix(ExprPtr inner) {
  for (int i = 0;; ++i) {
    const int line = tokens_.line();
    if (i > kMaxDepth) fail_at(line, "too many parts in a row");
    if (tokens_.accept(".")) {
      inner = make(Kind::Attribute, line, std::move(inner));
      if (tokens_.peek().kind == Token::Kind::Integer) {
        inner->kind = Kind::Index;
        const Token token = tokens_.next();
        add(*inner, literal(number(token), line));
      } else {
        inner->text = tokens_.expect_name();
      }
    } else if (tokens_.is("[")) {
      inner = subscript(std::move(inner));
    } else if (tokens_.is("(")) {
      inner = make(Kind::Call, line, std::move(inner));
      arguments(*inner);
    } else {
      return inner;
    }
  }
}

ExprPtr ExpressionParser::subscript(ExprPtr inner) {
  const int line = tokens_.next().line;
  ExprPtr parts[3];
  int count = 0;
  bool slice = false;
  while (!tokens_.is("]")) {
    if (tokens_.accept(":")) {
      slice = true;
      if (++count > 2) fail_at(line, "a slice of more than three parts");
    } else if (parts[count] == nullptr) {
      parts[count] = expression();
    } else {
      tokens_.unexpected();
    }
  }
  tokens_.next();
  if (!slice && parts[0] == nullptr) fail_at(line, "an empty index");
  ExprPtr out = make(slice ? Kind::Slice : Kind::Index, line, std::move(inner));
  for (ExprPtr& part : parts) {
    add(*out, std::move(part));
    if (!slice) break;
  }
  return out;
}

void ExpressionParser::arguments(Expr& call) {
  tokens_.expect("(");
  while (!tokens_.accept(")")) {
    if (tokens_.is("*") || tokens_.is("**")) {
      refuse_at(tokens_.line(), "*args and **kwargs are not supported");
    }
    const Token& after = tokens_.peek(1);
    if (tokens_.peek().kind == Token::Kind::Name &&
        after.kind == Token::Kind::Operator && after.text == "=") {
      std::string name = tokens_.next().text;
      tokens_.next();
      ExprPtr value = expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else {
      add(call, expression());
    }
    if (!tokens_.is(")")) tokens_.expect(",");
  }
}

ExprPtr ExpressionParser::filters(ExprPtr inner) {
  for (int i = 0;; ++i) {
    const int line = tokens_.line();
    if (i > kMaxDepth) fail_at(line, "too many filters in a row");
    if (tokens_.accept("|")) {
      inner = make(Kind::Filter, line, std::move(inner));
      inner->text = tokens_.expect_name();
      if (tokens_.is("(")) arguments(*inner);
    } else if (tokens_.is_name("is")) {
      tokens_.next();
      inner = test(std::move(inner));
    } else if (tokens_.is("(")) {
      inner = make(Kind::Call, line, std::move(inner));
      arguments(*inner);
    } else {
      return inner;
    }
  }
}

ExprPtr ExpressionParser::test(ExprPtr inner) {
  const int line = tokens_.line();
  const bool negated = tokens_.accept_name("not");
  ExprPtr out = make(Kind::Test, line, std::move(inner));
  out->text = tokens_.expect_name();
  const Token& next = tokens_.peek();
  const bool operand =
      (next.kind == Token::Kind::Name && next.text != "else" &&
       next.text != "or" && next.text != "and" && next.text != "if" &&
       next.text != "is" && next.text != "in" && next.text != "not") ||
      next.kind == Token::Kind::String || next.kind == Token::Kind::Integer ||
      next.kind == Token::Kind::Float || tokens_.is("[") || tokens_.is("{");
  if (tokens_.is("(")) {
    arguments(*out);
  } else if (operand) {
    add(*out, postfix(primary()));
  }
  return negated ? make(Kind::Not, line, std::move(out)) : std::move(out);
}

}  // namespace mantissa::text::chat
