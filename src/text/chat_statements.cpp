#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"
#include "text/chat_evaluator.h"

namespace mantissa::text::chat {
namespace {

using Kind = Node::Kind;

// What `loop` is while item `i` is handled.
Dict loop_of(const List& items, std::size_t i) {
  const auto index = static_cast<std::int64_t>(i);
  const auto length = static_cast<std::int64_t>(items.size());
  Dict loop;
  loop.items = {{"index", index + 1},
                {"index0", index},
                {"revindex", length - index},
                {"revindex0", length - index - 1},
                {"first", i == 0},
                {"last", i + 1 == items.size()},
                {"length", length}};
  if (i > 0) loop.items.emplace_back("previtem", items[i - 1]);
  if (i + 1 < items.size()) loop.items.emplace_back("nextitem", items[i + 1]);
  return loop;
}

// Every turn of a loop keeps its scope, about a kilobyte, for the macros that
// may look into it: 30,000 turns reach the limit.
constexpr std::size_t kIterationBytes = 1024;

}  // namespace

std::string Evaluator::run(const Nodes& program, Dict variables) {
  scope_ = push(nullptr);
  scope_->names = std::move(variables.items);
  std::string out;
  run(program, out);
  return out;
}

Evaluator::Scope* Evaluator::push(Scope* parent) {
  charge_values(1);
  scopes_.push_back({{}, parent});
  return &scopes_.back();
}

void Evaluator::append(std::string_view text, std::string& out) {
  charge(text.size());
  out += text;
  if (out.size() > kMaxBytes) stop();
}

void Evaluator::set(const std::string& name, Value value) {
  charge(2 * scope_->names.size());
  for (auto& [key, old] : scope_->names) {
    if (key != name) continue;
    old = std::move(value);
    return;
  }
  scope_->names.emplace_back(name, std::move(value));
}

Evaluator::Flow Evaluator::run(const Nodes& nodes, std::string& out) {
  for (const Node& node : nodes) {
    line_ = node.line;
    charge();
    const Flow flow = run(node, out);
    if (flow != Flow::Next) return flow;
  }
  return Flow::Next;
}

Evaluator::Flow Evaluator::run(const Node& node, std::string& out) {
  switch (node.kind) {
    case Kind::Text:
      append(node.text, out);
      break;
    case Kind::Output:
      append(text_of(eval(*node.expr)), out);
      break;
    case Kind::If:
      return run(is_true(eval(*node.expr)) ? node.body : node.otherwise, out);
    case Kind::For:
      return run_for(node, out);
    case Kind::Set:
    case Kind::SetBlock:
      run_set(node);
      break;
    case Kind::Macro:
      define_macro(node);
      break;
    case Kind::Group: {
      Scope* outer = scope_;
      scope_ = push(outer);
      const Flow flow = run(node.body, out);
      scope_ = outer;
      return flow;
    }
    case Kind::Break:
      return Flow::Break;
    case Kind::Continue:
      return Flow::Continue;
  }
  return Flow::Next;
}

void Evaluator::assign(const std::vector<std::string>& names,
                       const Value& value) {
  if (names.size() == 1) return set(names[0], value);
  const auto parts = iterate(value);
  if (parts->size() != names.size()) {
    fail(fmt::format("{} names for {} values", names.size(), parts->size()));
  }
  for (std::size_t i = 0; i < names.size(); ++i) set(names[i], (*parts)[i]);
}

Evaluator::Flow Evaluator::run_for(const Node& node, std::string& out) {
  std::shared_ptr<const List> all = iterate(eval(*node.expr));
  Scope* outer = scope_;
  if (node.filter != nullptr) {
    List kept;
    scope_ = push(outer);
    for (const Value& item : *all) {
      assign(node.names, item);
      if (is_true(eval(*node.filter))) kept.push_back(item);
    }
    charge_values(kept.size());
    all = std::make_shared<const List>(std::move(kept));
  }
  const List& items = *all;
  Flow flow = Flow::Next;
  for (std::size_t i = 0; i < items.size() && flow != Flow::Break; ++i) {
    charge(kIterationBytes);
    scope_ = push(outer);
    set("loop", loop_of(items, i));
    assign(node.names, items[i]);
    flow = run(node.body, out);
  }
  scope_ = outer;
  if (items.empty()) return run(node.otherwise, out);
  return Flow::Next;
}

void Evaluator::run_set(const Node& node) {
  Value value;
  if (node.kind == Kind::Set) {
    value = eval(*node.expr);
  } else {
    std::string text;
    Scope* outer = scope_;
    scope_ = push(outer);
    run(node.body, text);
    scope_ = outer;
    value = std::move(text);
  }
  if (node.text.empty()) return assign(node.names, value);
  const std::string& field = node.names[0];
  Namespace* held = name(node.text).as_namespace();
  if (held != nullptr) charge(held->fields.items.size());
  if (held == nullptr) {
    fail(fmt::format("{} is no namespace, so that {} cannot be set",
                     quoted_name(node.text),
                     quoted_name(field)));
  }
  if (field.starts_with('_')) fail("names in a namespace begin without _");
  for (auto& [key, old] : held->fields.items) {
    if (key != field) continue;
    old = std::move(value);
    return;
  }
  held->fields.items.emplace_back(field, std::move(value));
}

void Evaluator::define_macro(const Node& node) {
  Scope* outer = scope_;
  set(node.text,
      Function([&node, outer](Evaluator& self, const Arguments& given) {
        return self.call_macro(node, outer, given);
      }));
}

Value Evaluator::call_macro(const Node& node,
                            Scope* outer,
                            const Arguments& given) {
  constexpr int kCost = 64;  // frames of ours that one call may take
  if (given.values.size() > node.names.size()) {
    fail(fmt::format("macro {} takes {} arguments, got {}",
                     quoted_name(node.text),
                     node.names.size(),
                     given.values.size()));
  }
  charge((given.named.size() + 1) * node.names.size());
  for (const auto& [name, value] : given.named) {
    bool known = false;
    for (const std::string& own : node.names) known = known || own == name;
    if (!known) {
      fail(fmt::format("macro {} has no argument {}",
                       quoted_name(node.text),
                       quoted_name(name)));
    }
  }
  Scope* caller = scope_;
  charge_values(2 * node.names.size());
  scope_ = push(outer);
  enter(kCost);
  const std::size_t required = node.names.size() - node.defaults.size();
  for (std::size_t i = 0; i < node.names.size(); ++i) {
    const Value* value = given.find(i, node.names[i]);
    set(node.names[i],
        value != nullptr ? *value
        : i >= required  ? eval(*node.defaults[i - required])
                         : Value::undefined(node.names[i]));
  }
  std::string text;
  const int line = line_;
  run(node.body, text);
  line_ = line;
  depth_ -= kCost;
  scope_ = caller;
  return text;
}

}  // namespace mantissa::text::chat
