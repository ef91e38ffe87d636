#include "cli/brackets.h"

#include <utility>

namespace mantissa::cli {
namespace {

constexpr char kGuard = '\x1f';

}  // namespace

std::vector<std::string> guarded(std::vector<std::string> words) {
  for (std::string& word : words) {
    if (word.starts_with('[')) word += kGuard;
  }
  return words;
}

std::string unguarded(std::string word) {
  if (word.starts_with('[') && word.ends_with(kGuard)) word.pop_back();
  return word;
}

}  // namespace mantissa::cli
