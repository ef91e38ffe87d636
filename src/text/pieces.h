#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace mantissa::text {

/// A text cut into the pieces that the model sees one by one.
struct Pieces {
  struct Piece : Span {
    bool first = false;  ///< begins where the whole text begins
  };
  std::string text;
  std::vector<Piece> parts;

  std::string_view view(const Span& part) const {
    return std::string_view(text).substr(part.begin, part.end - part.begin);
  }
};

/// What the steps of a Sequence may make of `bytes`: more than any
/// normalization form does (3 bytes become 33).
constexpr std::size_t growth_limit(std::size_t bytes) {
  constexpr std::size_t kMaxGrowth = 20;
  return (bytes + kMaxGrowth) * kMaxGrowth;
}

/// Throws Error(Input), which begins with the place, above a growth_limit().
void check_growth(std::size_t bytes, std::size_t limit, std::string_view place);

/// What becomes of the matches of a Split.
enum class SplitBehavior {
  Removed,
  Isolated,
  MergedWithPrevious,
  MergedWithNext,
  Contiguous,
};

/// Cuts `text` at the matches (sorted, without overlap) and appends the parts
/// that are not empty. `invert` takes what does not match for matches.
void split_at(std::string_view text,
              const std::vector<Span>& matches,
              SplitBehavior behavior,
              bool invert,
              std::vector<Span>& out);

}  // namespace mantissa::text
