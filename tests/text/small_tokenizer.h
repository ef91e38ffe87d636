#pragma once

#include <string>

#include <mantissa/core/error.h>
#include <mantissa/text/tokenizer.h>

#include <gtest/gtest.h>

#include "support/small_tokenizer_json.h"

namespace mantissa::test {

using support::small_json;

/// The message of the Error that a call throws; its kind must be `kind`.
template <typename F>
std::string refusal(ErrorKind kind, F&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace mantissa::test
