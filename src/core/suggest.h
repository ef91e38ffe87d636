#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mantissa {

/// The candidate with the smallest edit distance to `text`, if the distance is
/// at most a third of its length (at least 1); "" otherwise.
std::string nearest_name(std::string_view text,
                         const std::vector<std::string>& candidates);

}  // namespace mantissa
