#include <algorithm>

#include <fmt/format.h>

#include "core/quoted.h"
#include "text/chat_token_stream.h"

namespace mantissa::text::chat {
namespace {

using Kind = Node::Kind;

constexpr int kMaxDepth = 64;
constexpr int kMaxElifs = 512;
constexpr std::string_view kSupported =
    "if, for, set, macro, break, continue and generation";

class Parser {
 public:
  explicit Parser(std::string_view source)
      : tokens_(lex(source)), expressions_(tokens_) {}

  Nodes run() {
    Nodes nodes = body({});
    if (tokens_.peek().kind != Token::Kind::End) tokens_.unexpected();
    return nodes;
  }

 private:
  // Statements up to one of the words, whose "{% word" has been read then.
  Nodes body(std::initializer_list<std::string_view> ends) {
    if (++depth_ > kMaxDepth) {
      fail_at(tokens_.line(),
              fmt::format("blocks nest deeper than {} levels", kMaxDepth));
    }
    const int line = tokens_.line();
    Nodes nodes;
    while (true) {
      const Token token = tokens_.next();
      if (token.kind == Token::Kind::End) {
        if (ends.size() > 0) {
          fail_at(line, fmt::format("a block without {}", *(ends.end() - 1)));
        }
        break;
      }
      if (token.kind == Token::Kind::Text) {
        nodes.push_back({.kind = Kind::Text, .line = token.line});
        nodes.back().text = token.text;
      } else if (token.kind == Token::Kind::OutputBegin) {
        nodes.push_back({.kind = Kind::Output, .line = token.line});
        nodes.back().expr = expressions_.tuple();
        tokens_.expect_end_of_tag();
      } else {
        word_ = tokens_.expect_name();
        if (std::ranges::find(ends, word_) != ends.end()) break;
        nodes.push_back(statement(token.line));
      }
    }
    --depth_;
    return nodes;
  }

  Node statement(int line) {
    Node node{.line = line};
    if (word_ == "if") {
      parse_if(node);
    } else if (word_ == "for") {
      parse_for(node);
    } else if (word_ == "set") {
      parse_set(node);
    } else if (word_ == "macro") {
      parse_macro(node);
    } else if (word_ == "generation") {
      node.kind = Kind::Group;
      tokens_.expect_end_of_tag();
      node.body = body({"endgeneration"});
    } else if (word_ == "break" || word_ == "continue") {
      if (loops_ == 0) fail_at(line, fmt::format("'{}' outside a for", word_));
      node.kind = word_ == "break" ? Kind::Break : Kind::Continue;
    } else {
      refuse_at(line,
                fmt::format("{{% {} %}} is not supported; supported are {}",
                            word_,
                            kSupported));
    }
    tokens_.expect_end_of_tag();
    return node;
  }

  void parse_if(Node& node) {
    node.kind = Kind::If;
    node.expr = expressions_.tuple();
    tokens_.expect_end_of_tag();
    node.body = body({"elif", "else", "endif"});
    if (word_ == "elif") {
      if (++elifs_ > kMaxElifs) {
        fail_at(tokens_.line(), fmt::format("more than {} elif", kMaxElifs));
      }
      Node other{.line = tokens_.line()};
      parse_if(other);
      node.otherwise.push_back(std::move(other));
    } else if (word_ == "else") {
      tokens_.expect_end_of_tag();
      node.otherwise = body({"endif"});
    }
  }

  void targets(Node& node) {
    const bool bracket = tokens_.accept("(");
    do {
      node.names.push_back(tokens_.expect_name());
    } while (tokens_.accept(",") && !tokens_.is(")"));
    if (bracket) tokens_.expect(")");
  }

  void parse_for(Node& node) {
    node.kind = Kind::For;
    targets(node);
    if (!tokens_.accept_name("in")) tokens_.unexpected();
    node.expr = expressions_.without_choice();
    if (tokens_.accept_name("if")) node.filter = expressions_.expression();
    if (tokens_.is_name("recursive")) {
      refuse_at(tokens_.line(), "recursive loops are not supported");
    }
    tokens_.expect_end_of_tag();
    ++loops_;
    node.body = body({"else", "endfor"});
    --loops_;
    if (word_ == "else") {
      tokens_.expect_end_of_tag();
      node.otherwise = body({"endfor"});
    }
  }

  void parse_set(Node& node) {
    node.kind = Kind::Set;
    targets(node);
    if (tokens_.accept(".")) {
      node.text = node.names.at(0);
      node.names = {tokens_.expect_name()};
    }
    if (tokens_.accept("=")) {
      node.expr = expressions_.tuple();
      return;
    }
    if (tokens_.is("|")) {
      refuse_at(tokens_.line(), "filters of a set block are not supported");
    }
    tokens_.expect_end_of_tag();
    node.kind = Kind::SetBlock;
    node.body = body({"endset"});
  }

  void parse_macro(Node& node) {
    node.kind = Kind::Macro;
    node.text = tokens_.expect_name();
    tokens_.expect("(");
    while (!tokens_.accept(")")) {
      node.names.push_back(tokens_.expect_name());
      if (tokens_.accept("=")) {
        node.defaults.push_back(expressions_.expression());
      } else if (!node.defaults.empty()) {
        fail_at(node.line, "an argument without default behind one with");
      }
      if (!tokens_.is(")")) tokens_.expect(",");
    }
    tokens_.expect_end_of_tag();
    const int loops = std::exchange(loops_, 0);
    node.body = body({"endmacro"});
    loops_ = loops;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  std::string word_;
  int depth_ = 0;
  int loops_ = 0;
  int elifs_ = 0;
};

}  // namespace

Nodes parse(std::string_view source) { return Parser(source).run(); }

}  // namespace mantissa::text::chat
