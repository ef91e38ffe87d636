#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/plan_run.h"
#include "cli/reporting.h"

namespace mantissa::cli {

void add_quantize_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<QuantizeOptions>();
  options->report_by_default = true;
  CLI::App* command = app.add_subcommand(
      "quantize", "Write a quantized checkpoint; always plans first");
  add_source_options(*command, *options);
  add_config_options(*command, *options);
  add_output_options(*command, *options);
  add_report_options(*command, *options);
  add_later_options(*command);
  command->add_flag("--dry-run", options->dry_run, "Plan only");
  command->callback(
      [options, &run] { run = [options] { return run_quantize(*options); }; });
}

}  // namespace mantissa::cli
