#include "core/suggest.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace mantissa {
namespace {

// Letters to insert, to leave out, to change or to swap with the next, or
// `limit + 1` as soon as that must exceed `limit`.
std::size_t edit_distance(std::string_view a,
                          std::string_view b,
                          std::size_t limit) {
  const std::size_t gap =
      a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (gap > limit) return limit + 1;
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  std::vector<std::size_t> above = row;
  std::vector<std::size_t> two_above = row;
  std::size_t best_above = 0;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    two_above.swap(above);
    above = row;
    row[0] = i;
    std::size_t best = row[0];
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], two_above[j - 2] + 1);
      }
      best = std::min(best, row[j]);
    }
    if (std::min(best, best_above) > limit) return limit + 1;
    best_above = best;
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view text,
                         const std::vector<std::string>& candidates) {
  std::size_t best = std::max<std::size_t>(1, text.size() / 3);
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(text, candidate, best);
    if (distance < best || (distance == best && nearest.empty())) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace mantissa
