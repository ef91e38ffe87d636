#pragma once

#include <string>
#include <vector>

namespace mantissa::cli {

// CLI11 takes a word "[a,b]" of an option with several values for a list, and
// has no way to say that it is one word.

/// `words` so that none is such a list, until unguarded() has seen it.
std::vector<std::string> guarded(std::vector<std::string> words);
std::string unguarded(std::string word);

}  // namespace mantissa::cli
