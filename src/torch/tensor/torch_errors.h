#pragma once

#include <c10/util/Exception.h>

#include <mantissa/core/error.h>

namespace mantissa {

/// Runs an action; what the core half refuses becomes c10::ValueError.
template <class Action>
auto with_torch_errors(const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    TORCH_CHECK_VALUE(false, error.what());
  }
}

}  // namespace mantissa
