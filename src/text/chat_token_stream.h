#pragma once

#include <utility>
#include <vector>

#include "text/chat_lexer.h"
#include "text/chat_syntax.h"

namespace mantissa::text::chat {

/// The tokens of a template, read one by one.
class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens)
      : tokens_(std::move(tokens)) {}

  const Token& peek(std::size_t ahead = 0) const;
  Token next();
  bool is(std::string_view op) const;  ///< an operator
  bool is_name(std::string_view name) const;
  bool accept(std::string_view op);
  bool accept_name(std::string_view name);
  void expect(std::string_view op);
  std::string expect_name();
  void expect_end_of_tag();
  int line() const { return peek().line; }
  [[noreturn]] void unexpected() const;

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Parses expressions (chat_expressions.cpp).
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}
  ExprPtr expression();
  /// An expression, or several with commas between: a tuple.
  ExprPtr tuple();
  /// Without "a if b": what follows `in` of a for.
  ExprPtr without_choice() { return either(); }

 private:
  ExprPtr choice();
  ExprPtr either();
  ExprPtr both();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr binary(int level);
  ExprPtr unary(bool filters);
  ExprPtr primary();
  ExprPtr postfix(ExprPtr inner);
  ExprPtr filters(ExprPtr inner);
  ExprPtr test(ExprPtr inner);
  ExprPtr subscript(ExprPtr inner);
  ExprPtr dict();
  void arguments(Expr& call);
  void items(Expr& list, std::string_view end);

  TokenStream& tokens_;
  int depth_ = 0;
};

}  // namespace mantissa::text::chat
