// The subcommands that need libtorch; the tool hands their words to this
// binary.

#include "cli/command_line.h"

namespace mantissa::cli {
namespace {

constexpr AddCommand kCommands[] = {
    add_eval_command,
    add_generate_command,
    add_embed_command,
    add_bench_command,
};

}  // namespace
}  // namespace mantissa::cli

int main(int argc, char** argv) {
  return mantissa::cli::run_tool(argc, argv, mantissa::cli::kCommands);
}
