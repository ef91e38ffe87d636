#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/plan_run.h"

namespace mantissa::cli {

void add_plan_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<QuantizeOptions>();
  CLI::App* command = app.add_subcommand(
      "plan", "What `quantize` would do to every tensor, before it does it");
  add_source_options(*command, *options);
  add_config_options(*command, *options);
  add_later_options(*command);
  command->add_option("-o,--output", options->out, "Check this output too");
  add_workers_option(*command, *options);
  command->add_flag("--force", options->force, "As for `quantize`");
  command->add_flag("--restart", options->restart, "As for `quantize`");
  command->callback(
      [options, &run] { run = [options] { return run_plan_only(*options); }; });
}

}  // namespace mantissa::cli
