// Subcommands that need libtorch: the tool knows their words, so that help,
// completion and manual have them, and hands the command line to the binary
// that is linked to it.

#include "cli/torch_half.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <mantissa/core/error.h>

#include "cli/command.h"
#include "cli/invocation.h"
#include "cli/model_options.h"

namespace mantissa::cli {
namespace {

namespace fs = std::filesystem;

int run_torch_tool() {
  const fs::path tool = torch_tool();
  if (!fs::exists(tool)) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("this build has no torch half ({} is not there): configure "
                    "it with -DMANTISSA_TORCH=PYTHON, a Python that has torch "
                    "2.11, or run 'tools/setup.sh --torch' before",
                    tool.string()));
  }
  std::vector<char*> words;
  for (const std::string& word : invocation()) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  ::execv(tool.c_str(), words.data());
  throw Error(ErrorKind::Resources,
              fmt::format("{}: {}", tool.string(), std::strerror(errno)));
}

template <class Options>
void add(CLI::App& app, Run& run, CLI::App& (*add_words)(CLI::App&, Options&)) {
  auto options = std::make_shared<Options>();
  add_words(app, *options).callback([options, &run] { run = run_torch_tool; });
}

}  // namespace

fs::path torch_tool() {
  const fs::path self = fs::read_symlink("/proc/self/exe");
  return self.parent_path().parent_path() / "libexec/mantissa/mantissa-torch";
}

void add_eval_command(CLI::App& app, Run& run) {
  add(app, run, add_eval_words);
}

void add_generate_command(CLI::App& app, Run& run) {
  add(app, run, add_generate_words);
}

void add_embed_command(CLI::App& app, Run& run) {
  add(app, run, add_embed_words);
}

void add_bench_command(CLI::App& app, Run& run) {
  add(app, run, add_bench_model_words);
}

}  // namespace mantissa::cli
