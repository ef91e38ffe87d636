#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include <mantissa/core/error.h>

#include "cli/command.h"
#include "cli/completion_scripts.h"

namespace mantissa::cli {
namespace {

std::string script_for(const std::string& shell, const CommandWords& root) {
  if (shell == "bash") return bash_completion(root);
  if (shell == "zsh") return zsh_completion(root);
  if (shell == "fish") return fish_completion(root);
  throw Error(ErrorKind::Usage,
              "completion: expected bash, zsh or fish, got '" + shell + "'");
}

}  // namespace

void add_completion_command(CLI::App& app, Run& run) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "completion", "Print the completion script of a shell");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  command->callback([shell, &app, &run] {
    run = [shell, &app] {
      std::fputs(script_for(*shell, command_words(app)).c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace mantissa::cli
