// The tool: words to a library call and back. Each subcommand stands in a file
// of its own; this one holds their table, and catches what they throw.

#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "cli/command.h"
#include "cli/command_tree.h"

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
    add_kernels_command,
    add_doctor_command,
    add_completion_command,
    add_manual_command,
};

int run_command_line(int argc, char** argv) {
  CLI::App app(
      "Mantissa: quantize model checkpoints, without Python.\n"
      "Plans before it runs, skips nothing silently, writes the same bytes "
      "every time.",
      "mantissa");
  app.set_version_flag("--version", std::string("mantissa ") + kVersion);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Run run;
  for (const AddCommand add : kCommands) add(app, run);
  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return exit_code(ErrorKind::Usage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    const std::string meant =
        suggest_words(command_words(app), {argv + 1, argv + argc});
    if (!meant.empty()) std::fprintf(stderr, "%s\n", meant.c_str());
    return exit_code(ErrorKind::Usage);
  }
  return run();
}

}  // namespace
}  // namespace mantissa::cli

int main(int argc, char** argv) {
  using mantissa::Error;
  using mantissa::ErrorKind;
  try {
    return mantissa::cli::run_command_line(argc, argv);
  } catch (const Error& e) {
    std::fprintf(stderr, "mantissa: %s\n", e.what());
    return mantissa::exit_code(e.kind());
  } catch (const std::bad_alloc&) {
    std::fputs("mantissa: out of memory\n", stderr);
    return mantissa::exit_code(ErrorKind::Resources);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "mantissa: unexpected error: %s\n", e.what());
    return mantissa::exit_code(ErrorKind::Unexpected);
  }
}
