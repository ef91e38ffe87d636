#pragma once

#include <string>
#include <vector>

namespace mantissa::cli {

/// Keeps the words of this process for reports; main calls it once.
void set_invocation(int argc, char** argv);

/// The words as typed, "mantissa" first.
const std::vector<std::string>& invocation();

}  // namespace mantissa::cli
