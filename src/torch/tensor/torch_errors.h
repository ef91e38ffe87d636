#pragma once

#include <c10/util/Exception.h>

#include <mantissa/core/error.h>

namespace mantissa {

/// What the core half refused, as libtorch's users expect it, with the kind that
/// the tool's exit code needs.
class RefusedByCore : public c10::ValueError {
 public:
  RefusedByCore(c10::SourceLocation where, const mantissa::Error& error)
      : c10::ValueError(where, error.what()), kind_(error.kind()) {}

  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Runs an action; what the core half refuses becomes c10::ValueError.
template <class Action>
auto with_torch_errors(const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    throw RefusedByCore({__func__, __FILE__, __LINE__}, error);
  }
}

}  // namespace mantissa
