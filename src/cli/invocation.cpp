#include "cli/invocation.h"

namespace mantissa::cli {
namespace {

std::vector<std::string>& words() {
  static std::vector<std::string> kept;
  return kept;
}

}  // namespace

void set_invocation(int argc, char** argv) {
  words() = {"mantissa"};
  words().insert(words().end(), argv + (argc > 0 ? 1 : 0), argv + argc);
}

const std::vector<std::string>& invocation() { return words(); }

}  // namespace mantissa::cli
