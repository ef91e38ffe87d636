#pragma once

#include <string>

#include <mantissa/core/error.h>
#include <mantissa/text/tokenizer.h>

#include <gtest/gtest.h>

namespace mantissa::test {

/// A byte-level BPE of a few tokens; `extra` is more of the top-level object.
inline std::string small_json(const std::string& extra = "",
                              const std::string& model = "") {
  return R"({"model": {"type": "BPE",)" + model + R"( "vocab": {"a": 0, "b": 1,
      "c": 2, "ab": 3, "abc": 4, "\u0120": 5, "\u0120a": 6},
      "merges": ["a b", "ab c", "\u0120 a"]})" +
         extra + "}";
}

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
