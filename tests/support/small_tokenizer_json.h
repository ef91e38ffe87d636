#pragma once

#include <string>

namespace mantissa::support {

/// A byte-level BPE of a few tokens; `extra` is more of the top-level object.
inline std::string small_json(const std::string& extra = "",
                              const std::string& model = "") {
  return R"({"model": {"type": "BPE",)" + model + R"( "vocab": {"a": 0, "b": 1,
      "c": 2, "ab": 3, "abc": 4, "\u0120": 5, "\u0120a": 6},
      "merges": ["a b", "ab c", "\u0120 a"]})" +
         extra + "}";
}

}  // namespace mantissa::support
