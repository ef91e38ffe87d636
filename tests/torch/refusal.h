#pragma once

#include <exception>
#include <string>

#include <gtest/gtest.h>

namespace mantissa::tests {

/// Runs an action that must throw; its message.
template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return {};
}

}  // namespace mantissa::tests
