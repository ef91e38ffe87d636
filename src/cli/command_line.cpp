#include "cli/command_line.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "checkpoint/plan.h"
#include "cli/brackets.h"
#include "cli/command_tree.h"
#include "cli/invocation.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "core/quoted.h"
#include "kernels/select.h"

namespace mantissa::cli {
namespace {

int run_command_line(int argc,
                     char** argv,
                     std::span<const AddCommand> commands) {
  CLI::App app(
      "Mantissa: quantize model checkpoints, without Python.\n"
      "Plans before it runs, skips nothing silently, writes the same bytes "
      "every time.",
      "mantissa");
  app.set_version_flag("--version", std::string("mantissa ") + kVersion);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Run run;
  for (const AddCommand add : commands) add(app, run);
  if (argc < 2) {
    std::fputs(app.help().c_str(), stderr);
    return exit_code(ErrorKind::Usage);
  }
  try {
    std::vector<std::string> words(argv + 1, argv + argc);
    // Sentences may be in brackets.
    if (words.front() == "embed") words = guarded(std::move(words));
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::ostringstream out;
    std::ostringstream err;  // CLI11 quotes arguments as they came
    app.exit(e, out, err);
    std::string text = printable_lines(err.str());
    const std::string meant =
        suggest_words(command_words(app), {argv + 1, argv + argc});
    if (!meant.empty()) text += printable_lines(meant) + '\n';
    std::fputs(text.c_str(), stderr);
    return exit_code(ErrorKind::Usage);
  }
  kernels::check_environment();
  return run();
}

// "PATH: Permission denied": what the library says of itself is left out.
Error plain_error(const std::filesystem::filesystem_error& error) {
  const bool target = error.code() == std::errc::read_only_file_system ||
                      error.code() == std::errc::no_space_on_device ||
                      error.code() == std::errc::not_supported;
  const std::string path =
      error.path1().empty() ? "the current directory" : error.path1().string();
  return {target ? ErrorKind::Target : ErrorKind::Input,
          path + ": " + error.code().message()};
}

int report(const Error& error) {
  if (const auto* plan = dynamic_cast<const PlanRefused*>(&error)) {
    print_errors(plan->messages());
  } else {
    print_error(error.what());
  }
  if (error.kind() == ErrorKind::Interrupted) return 128 + stop_signal();
  return exit_code(error.kind());
}

int run_guarded(int argc, char** argv, std::span<const AddCommand> commands) {
  try {
    return run_command_line(argc, argv, commands);
  } catch (const Error& e) {
    return report(e);
  } catch (const std::filesystem::filesystem_error& e) {
    return report(plain_error(e));
  } catch (const std::bad_alloc&) {
    return report({ErrorKind::Resources, "out of memory"});
  } catch (const std::exception& e) {
    return report(
        {ErrorKind::Unexpected, std::string("unexpected error: ") + e.what()});
  }
}

}  // namespace

int run_tool(int argc, char** argv, std::span<const AddCommand> commands) {
  set_invocation(argc, argv);
  take_standard_descriptors();
  return finish_output(run_guarded(argc, argv, commands));
}

}  // namespace mantissa::cli
