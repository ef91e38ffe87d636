#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include <mantissa/text/tokenizer.h>

#include "text/json_object.h"

namespace mantissa::text {

/// The special tokens that are put around every text.
struct Surround {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
};

/// Reads the object `post_processor`, for single texts. Throws Error(Usage)
/// for one that is not supported, naming it and those that are.
Surround read_post_processor(const JsonObject& object);

}  // namespace mantissa::text
