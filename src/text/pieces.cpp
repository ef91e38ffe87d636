#include "text/pieces.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa::text {
namespace {

struct Part {
  Span span;
  bool match = false;
};

// The whole text as matches and what lies between.
std::vector<Part> cut(std::size_t size,
                      const std::vector<Span>& matches,
                      bool invert) {
  std::vector<Part> parts;
  std::size_t at = 0;
  for (const Span& match : matches) {
    if (at != match.begin) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at != size) parts.push_back({{at, size}, invert});
  return parts;
}

// A match joins its neighbour unless that is a match too; `forward` walks from
// the left and joins the previous part, else from the right and the next.
std::vector<Part> merged(const std::vector<Part>& parts, bool forward) {
  std::vector<Part> out;
  bool previous = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[forward ? i : parts.size() - 1 - i];
    if (part.match && !previous && !out.empty()) {
      Span& last = out.back().span;
      (forward ? last.end : last.begin) =
          forward ? part.span.end : part.span.begin;
    } else {
      out.push_back(part);
    }
    previous = part.match;
  }
  if (forward) return out;
  return {out.rbegin(), out.rend()};
}

std::vector<Part> contiguous(const std::vector<Part>& parts) {
  std::vector<Part> out;
  for (const Part& part : parts) {
    if (!out.empty() && out.back().match == part.match) {
      out.back().span.end = part.span.end;
    } else {
      out.push_back(part);
    }
  }
  return out;
}

}  // namespace

void check_growth(std::size_t bytes,
                  std::size_t limit,
                  std::string_view place) {
  if (bytes <= limit) return;
  throw Error(ErrorKind::Input,
              fmt::format("tokenizer.json: {}: a text grows more than 20 times",
                          place));
}

void split_at(std::string_view text,
              const std::vector<Span>& matches,
              SplitBehavior behavior,
              bool invert,
              std::vector<Span>& out) {
  if (behavior == SplitBehavior::Isolated) {
    std::size_t at = 0;
    for (const Span& match : matches) {
      if (at != match.begin) out.push_back({at, match.begin});
      if (match.begin != match.end) out.push_back(match);
      at = match.end;
    }
    if (at != text.size()) out.push_back({at, text.size()});
    return;
  }
  std::vector<Part> parts = cut(text.size(), matches, invert);
  if (behavior == SplitBehavior::MergedWithPrevious) {
    parts = merged(parts, true);
  } else if (behavior == SplitBehavior::MergedWithNext) {
    parts = merged(parts, false);
  } else if (behavior == SplitBehavior::Contiguous) {
    parts = contiguous(parts);
  }
  const bool removes = behavior == SplitBehavior::Removed;
  for (const Part& part : parts) {
    if (part.span.begin == part.span.end || (removes && part.match)) continue;
    out.push_back(part.span);
  }
}

}  // namespace mantissa::text
