#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/plan_run.h"

namespace mantissa::cli {

void add_convert_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<QuantizeOptions>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "Write a plain Hugging Face directory, from GGUF or another dtype");
  add_source_options(*command, *options);
  add_output_options(*command, *options);
  add_later_options(*command);
  command->callback(
      [options, &run] { run = [options] { return run_convert(*options); }; });
}

}  // namespace mantissa::cli
