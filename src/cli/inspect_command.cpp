#include <cstdio>

#include <CLI/CLI.hpp>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/worker_pool.h>

#include "cli/command.h"
#include "cli/inspect_view.h"
#include "cli/number_options.h"
#include "cli/terminal.h"

namespace mantissa::cli {
namespace {

struct InspectOptions {
  std::string path;
  int threads = default_workers();
  bool all = false;
  bool tree = false;
  bool stats = false;
  bool json = false;
};

// A tensor that cannot be read keeps empty statistics: the summary names it.
std::vector<TensorStats> all_stats(const LogicalCheckpoint& checkpoint,
                                   int threads) {
  const auto& tensors = checkpoint.tensors();
  std::vector<TensorStats> stats(tensors.size());
  WorkerPool pool(threads);
  pool.run(static_cast<std::int64_t>(tensors.size()),
           [&](std::int64_t index, int) {
             const auto i = static_cast<std::size_t>(index);
             const bool readable =
                 tensors[i].dtype != DType::Complex64 &&
                 (!tensors[i].quantized || tensors[i].encoding != nullptr ||
                  checkpoint.quantized() == nullptr);
             if (readable) stats[i] = tensor_stats(checkpoint, tensors[i]);
           });
  return stats;
}

int run_inspect(const InspectOptions& options) {
  const auto source = open_checkpoint(options.path, {.any_gguf = true});
  const LogicalCheckpoint checkpoint(*source, TensorNames::Stored);
  Inspection inspection{checkpoint, {}};
  if (options.stats) {
    inspection.stats = all_stats(checkpoint, options.threads);
  }
  std::string text;
  if (options.json) {
    text = inspect_json(inspection);
  } else {
    text = inspect_summary(inspection) + '\n';
    if (options.tree) {
      text += inspect_tree(inspection);
    } else if (options.all || options.stats) {
      text += inspect_rows(inspection);
    } else {
      text += inspect_groups(inspection);
    }
  }
  options.json ? print_json(text) : print_text(text);
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Show what a checkpoint holds; reads headers only, except for --stats");
  command
      ->add_option("PATH",
                   options->path,
                   "A .safetensors or .gguf file, or a model directory")
      ->required();
  command->add_flag(
      "--all", options->all, "One row a tensor instead of one for all layers");
  command->add_flag("--tree", options->tree, "Modules with their sums");
  command->add_flag("--stats",
                    options->stats,
                    "Read the values too: min, max, zeros, non-finite");
  command->add_flag("--json", options->json, "Machine-readable output");
  expect_workers(*command->add_option("-j,--threads",
                                      options->threads,
                                      "Threads that read values (default: all "
                                      "processors)"));
  command->callback(
      [options, &run] { run = [options] { return run_inspect(*options); }; });
}

}  // namespace mantissa::cli
