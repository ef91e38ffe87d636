#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace mantissa::cli {

/// What a chosen subcommand does; returns the process exit code. Errors are
/// thrown and printed once, in main.
using Run = std::function<int()>;

/// Adds a subcommand with its options to `app`. When the user chooses it, its
/// callback stores what to do in `run`.
using AddCommand = void (*)(CLI::App& app, Run& run);

// One function per subcommand file; main.cpp holds the table.
void add_plan_command(CLI::App& app, Run& run);
void add_quantize_command(CLI::App& app, Run& run);
void add_convert_command(CLI::App& app, Run& run);
void add_inspect_command(CLI::App& app, Run& run);
void add_verify_command(CLI::App& app, Run& run);
void add_diff_command(CLI::App& app, Run& run);
void add_configs_command(CLI::App& app, Run& run);
// Of those that need libtorch the tool has the words only; what they do stands
// in cli/torch.
void add_eval_command(CLI::App& app, Run& run);
void add_generate_command(CLI::App& app, Run& run);
void add_embed_command(CLI::App& app, Run& run);
void add_bench_command(CLI::App& app, Run& run);
void add_kernels_command(CLI::App& app, Run& run);
void add_doctor_command(CLI::App& app, Run& run);
void add_completion_command(CLI::App& app, Run& run);
void add_manual_command(CLI::App& app, Run& run);

}  // namespace mantissa::cli
