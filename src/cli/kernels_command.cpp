#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "kernels/select.h"

namespace mantissa::cli {
namespace {

struct KernelsOptions {
  bool json = false;
  bool markdown = false;
};

int run_kernels(const KernelsOptions& options) {
  // The page in docs/ must not depend on the machine that printed it.
  const auto list = kernels::all_kernels(
      options.markdown ? kernels::kEveryCap : kernels::host_caps());
  if (options.json) {
    nlohmann::ordered_json out = {{"schema_version", 1},
                                  {"kernels", nlohmann::json::array()}};
    for (const auto& kernel : list) {
      out["kernels"].push_back({{"op", kernel.op},
                                {"name", kernel.name},
                                {"usable", kernel.refusal.empty()},
                                {"reason", kernel.refusal}});
    }
    print_json(json_text(out));
    return 0;
  }
  if (options.markdown) {
    Table table({"operator", "kernel, in order of preference"});
    for (const auto& kernel : list) table.add({kernel.op, kernel.name});
    std::fputs(table.markdown().c_str(), stdout);
    return 0;
  }
  Table table({"operator", "kernel", "here"});
  for (const auto& kernel : list) {
    table.add({kernel.op,
               kernel.name,
               kernel.refusal.empty() ? "usable" : kernel.refusal});
  }
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

}  // namespace

void add_kernels_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<KernelsOptions>();
  CLI::App* command = app.add_subcommand(
      "kernels", "List the kernels and which of them this machine can run");
  command->add_flag("--json", options->json, "Machine-readable output");
  command->add_flag("--markdown", options->markdown, "As docs/kernels.md");
  command->callback(
      [options, &run] { run = [options] { return run_kernels(*options); }; });
}

}  // namespace mantissa::cli
