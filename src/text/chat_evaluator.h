#pragma once

#include <deque>
#include <string>
#include <vector>

#include <mantissa/text/chat_template.h>

#include "text/chat_syntax.h"

namespace mantissa::text::chat {

/// Runs a template once.
class Evaluator {
 public:
  explicit Evaluator(const ChatOptions& options) : options_(options) {}
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  std::string run(const Nodes& program, Dict variables);

  /// Counts work against the limit: one step, and one more for every 32 bytes
  /// that are read or made. More than 16 MiB at once are refused.
  void charge(std::size_t bytes = 0);
  /// The same for values that are made.
  void charge_values(std::size_t count) { charge(count * kValueBytes); }
  /// Throws Error(Resources): a limit is reached.
  [[noreturn]] void stop() const;
  /// A list that is new.
  Value made(List items, bool tuple = false);
  /// str() and ==, charged by weight.
  std::string text_of(const Value& value);
  bool equal(const Value& a, const Value& b);
  /// Where `part` begins in `text`, from `from`; npos for nowhere. In linear
  /// time.
  std::size_t find_text(std::string_view text,
                        std::string_view part,
                        std::size_t from = 0);
  Value call(const Value& function, const Arguments& arguments);
  Value filter(std::string_view name, const Value& in, const Arguments& with);
  bool test(std::string_view name, const Value& in, const Arguments& with);
  Value attribute(const Value& of, const std::string& name);
  Value item(const Value& of, const Value& key);
  std::shared_ptr<const List> iterate(const Value& value);
  bool less(const Value& a, const Value& b);
  Value make_namespace(const Arguments& fields);
  const ChatOptions& options() const { return options_; }

  /// Throws Error(Usage) with the line being run.
  [[noreturn]] void fail(std::string_view what) const;

  /// What one value may weigh, and what may come out.
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 24;

 private:
  static constexpr std::size_t kValueBytes = 64;
  struct Scope {
    Named names;
    Scope* parent = nullptr;
  };
  enum class Flow { Next, Break, Continue };

  Value eval(const Expr& expr);
  Value eval_now(const Expr& expr);
  void enter(int frames);
  std::int64_t slice_bound(const Expr* part, std::int64_t otherwise);
  Value name(const std::string& name);
  Value slice(const Expr& expr);
  Value compare(const Expr& expr);
  bool compare(const std::string& op, const Value& a, const Value& b);
  Value binary(const Expr& expr);
  Value arithmetic(const std::string& op, const Value& a, const Value& b);
  Value sum(const Value& a, const Value& b);
  Value product(const Value& a, const Value& b);
  Arguments arguments(const Expr& call);
  Value dict(const Expr& expr);

  Flow run(const Nodes& nodes, std::string& out);
  Flow run(const Node& node, std::string& out);
  Flow run_for(const Node& node, std::string& out);
  void run_set(const Node& node);
  void assign(const std::vector<std::string>& names, const Value& value);
  void define_macro(const Node& node);
  Value call_macro(const Node& node, Scope* outer, const Arguments& given);
  void append(std::string_view text, std::string& out);
  void set(const std::string& name, Value value);
  Scope* push(Scope* parent);

  const ChatOptions& options_;
  std::deque<Scope> scopes_;  // all of them: macros may outlive a block
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  Scope* scope_ = nullptr;
  std::size_t steps_ = 0;
  int depth_ = 0;
  int line_ = 1;
};

/// A global function; undefined for another name (chat_functions.cpp).
Value global_function(std::string_view name);

/// A method of a string or a dict, bound; undefined for another name.
Value method_of(const Value& of, std::string_view name);

/// str.strip() with its optional argument, for the side -1, 1 or 0 (both).
std::string strip(Evaluator& self,
                  std::string_view text,
                  const Value* characters,
                  int side);

/// The bytes that a function or filter may read of its input or arguments,
/// lists and dicts aside.
std::size_t text_bytes(const Value& value);
std::size_t text_bytes(const Arguments& with);

}  // namespace mantissa::text::chat
