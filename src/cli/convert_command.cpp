#include <CLI/CLI.hpp>

#include "cli/command.h"
#include "cli/plan_run.h"
#include "cli/reporting.h"

namespace mantissa::cli {

void add_convert_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<QuantizeOptions>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "Write a plain Hugging Face directory, from GGUF, a quantized model or "
      "another dtype; or change how a quantized model is stored");
  add_source_options(*command, *options);
  command->add_option(
      "--format",
      options->format,
      "torchao or compressed-tensors: store a quantized model's "
      "codes so; plain (default): decode them");
  add_output_options(*command, *options);
  options->convert = true;
  add_report_options(*command, *options);
  add_later_options(*command);
  command->callback(
      [options, &run] { run = [options] { return run_convert(*options); }; });
}

}  // namespace mantissa::cli
