#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/chat_value.h"

namespace mantissa::text::chat {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// An expression. What `kids` and `text` hold depends on the kind.
struct Expr {
  enum class Kind {
    Literal,    ///< value
    Name,       ///< text
    Attribute,  ///< kids[0].text
    Index,      ///< kids[0][kids[1]]
    Slice,      ///< kids[0][kids[1]:kids[2]:kids[3]], each may be null
    Call,       ///< kids[0](kids[1]..., named)
    Filter,     ///< kids[0] | text(kids[1]..., named)
    Test,       ///< kids[0] is text(kids[1]...)
    Not,
    Negative,
    Positive,
    Binary,   ///< kids[0] text kids[1]
    Compare,  ///< kids[0] operators[0] kids[1] operators[1] kids[2]...
    And,
    Or,
    Choice,  ///< kids[1] if kids[0] else kids[2], which may be null
    List,
    Tuple,
    Dict,  ///< key, value, key, value...
  };
  Kind kind = Kind::Literal;
  int line = 0;
  int depth = 0;  ///< of the tree below
  std::string text;
  Value value;
  std::vector<ExprPtr> kids;
  std::vector<std::pair<std::string, ExprPtr>> named;
  std::vector<std::string> operators;
};

struct Node;
using Nodes = std::vector<Node>;

/// A statement, or a piece of text.
struct Node {
  enum class Kind {
    Text,      ///< text
    Output,    ///< expr
    If,        ///< expr, body, otherwise
    For,       ///< names in expr (if filter), body, otherwise
    Set,       ///< names = expr; or text.names[0] = expr
    SetBlock,  ///< names[0] = body
    Macro,     ///< text(names, defaults for the last of them), body
    Group,     ///< body: {% generation %}
    Break,
    Continue,
  };
  Kind kind = Kind::Text;
  int line = 0;
  std::string text = {};
  std::vector<std::string> names = {};
  ExprPtr expr = {};
  ExprPtr filter = {};
  std::vector<ExprPtr> defaults = {};
  Nodes body = {};
  Nodes otherwise = {};
};

/// Parses a template. Throws Error(Input) for what is malformed, Error(Usage)
/// for what is not supported, with the line.
Nodes parse(std::string_view source);

}  // namespace mantissa::text::chat
