// The tool: words to a library call and back. Each subcommand stands in a file
// of its own; this one holds their table.

#include "cli/command_line.h"

namespace mantissa::cli {
namespace {

constexpr AddCommand kCommands[] = {
    add_plan_command,
    add_quantize_command,
    add_convert_command,
    add_configs_command,
    add_inspect_command,
    add_verify_command,
    add_diff_command,
    add_eval_command,
    add_generate_command,
    add_embed_command,
    add_bench_command,
    add_kernels_command,
    add_doctor_command,
    add_completion_command,
    add_manual_command,
};

}  // namespace
}  // namespace mantissa::cli

int main(int argc, char** argv) {
  return mantissa::cli::run_tool(argc, argv, mantissa::cli::kCommands);
}
