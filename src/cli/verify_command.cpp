#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/verify.h"
#include "cli/command.h"
#include "cli/number_options.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

constexpr std::size_t kShown = 50;

struct VerifyWords {
  std::string path;
  int threads = default_workers();
  bool allow_nonfinite = false;
  bool json = false;
};

const char* word(Severity severity) {
  switch (severity) {
    case Severity::Note:
      return "note";
    case Severity::Wrong:
      return "wrong";
    case Severity::Malformed:
      return "malformed";
  }
  return "";
}

int verdict(const VerifyReport& report) {
  switch (report.worst()) {
    case Severity::Note:
      return 0;
    case Severity::Wrong:
      return exit_code(ErrorKind::Quality);
    case Severity::Malformed:
      return exit_code(ErrorKind::Input);
  }
  return exit_code(ErrorKind::Unexpected);
}

std::string as_json(const VerifyReport& report) {
  nlohmann::ordered_json json = {{"schema_version", 1},
                                 {"sound", verdict(report) == 0},
                                 {"tensors", report.tensors},
                                 {"quantized_tensors", report.quantized},
                                 {"bytes", report.bytes},
                                 {"hashed_bytes", report.hashed_bytes},
                                 {"findings", nlohmann::json::array()}};
  for (const Finding& finding : report.findings) {
    json["findings"].push_back({{"severity", word(finding.severity)},
                                {"tensor", finding.tensor},
                                {"what", finding.what}});
  }
  return json_text(json);
}

std::string as_text(const VerifyReport& report) {
  std::string text;
  std::size_t bad = 0;
  std::size_t shown = 0;
  for (const Finding& finding : report.findings) {
    bad += finding.severity == Severity::Note ? 0 : 1;
    if (++shown > kShown) continue;
    text +=
        fmt::format("{}: {}{}{}\n",
                    word(finding.severity),
                    finding.tensor.empty() ? "" : quoted_name(finding.tensor),
                    finding.tensor.empty() ? "" : ": ",
                    printable(finding.what));
  }
  if (shown > kShown) {
    text += fmt::format("... and {} more (--json lists all)\n", shown - kShown);
  }
  if (report.nonfinite > 0) {
    text += fmt::format(
        "--allow-nonfinite accepts NaN and infinity where nothing is "
        "quantized: "
        "{} of these findings\n",
        report.nonfinite);
  }
  const std::string checked = fmt::format("{} tensors ({} quantized), {}",
                                          format_count(report.tensors),
                                          format_count(report.quantized),
                                          format_bytes(report.bytes));
  if (report.hashed_bytes > 0 && bad == 0) {
    text += "hashes are those of mantissa_manifest.json\n";
  }
  text += bad == 0
              ? fmt::format("sound: {}\n", checked)
              : fmt::format("not sound: {} findings in {}\n", bad, checked);
  return text;
}

int run_verify(const VerifyWords& options) {
  const auto source = open_checkpoint(options.path, {.any_gguf = true});
  const VerifyReport report =
      verify(*source,
             {.workers = options.threads,
              .nonfinite = options.allow_nonfinite ? NonfinitePolicy::Allowed
                                                   : NonfinitePolicy::Wrong});
  const std::string text = options.json ? as_json(report) : as_text(report);
  options.json ? print_json(text) : print_text(text);
  return verdict(report);
}

}  // namespace

void add_verify_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<VerifyWords>();
  CLI::App* command = app.add_subcommand(
      "verify",
      "Check a checkpoint: headers, index, metadata, every value, config.json; "
      "exit 4 when it is malformed, 5 when it is well-formed but wrong");
  command
      ->add_option("PATH",
                   options->path,
                   "A .safetensors or .gguf file, or a model directory")
      ->required();
  command->add_flag("--allow-nonfinite",
                    options->allow_nonfinite,
                    "Accept NaN and infinity where nothing is quantized");
  command->add_flag("--json", options->json, "Machine-readable output");
  expect_workers(*command->add_option("-j,--threads",
                                      options->threads,
                                      "Threads that read values (default: all "
                                      "processors)"));
  command->callback(
      [options, &run] { run = [options] { return run_verify(*options); }; });
}

}  // namespace mantissa::cli
