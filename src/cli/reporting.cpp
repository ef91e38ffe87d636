#include "cli/reporting.h"

#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "checkpoint/report/earlier.h"
#include "checkpoint/report/report.h"
#include "cli/color.h"
#include "cli/invocation.h"
#include "cli/number_options.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "kernels/caps.h"

namespace mantissa::cli {
namespace {

ProgressOptions progress_options(const QuantizeOptions& options) {
  return {.terminal = ::isatty(STDERR_FILENO) == 1,
          .quiet = options.quiet,
          .hidden = options.no_progress,
          .verbose = options.verbose,
          .color = wants_color(options.color, STDERR_FILENO),
          .min_sqnr = options.min_sqnr};
}

}  // namespace

void add_report_options(CLI::App& command, QuantizeOptions& options) {
  auto* place =
      command.add_option("--report",
                         options.report,
                         "Folder for the report of the run (quantize: default "
                         "OUT.report)");
  command.add_flag("--no-report", options.no_report, "Write no report")
      ->excludes(place);
  expect_decibels(
      *command.add_option("--min-sqnr",
                          options.min_sqnr,
                          "Exit with 5 when a quantized matrix has a lower "
                          "SQNR in dB; OUT stays"));
  command.add_flag(
      "--no-progress", options.no_progress, "No status line on stderr");
  command.add_option("--color", options.color, "auto, always or never")
      ->capture_default_str();
}

std::optional<std::filesystem::path> report_directory(
    const QuantizeOptions& options) {
  if (options.no_report || options.out.empty()) return {};
  std::filesystem::path directory = options.report;
  if (directory.empty()) {
    if (!options.report_by_default) return {};
    directory = report::default_directory(options.out);
  }
  return directory;
}

void check_report(const QuantizeOptions& options) {
  const auto directory = report_directory(options);
  if (!directory) return;
  report::check_directory(*directory, options.input, options.out);
  if (!options.report.empty()) report::require_makeable(*directory);
  report::require_ours(*directory);
}

Reporting::Reporting(const QuantizeOptions& options,
                     const Plan& plan,
                     const CheckpointSource& source)
    : options_(options),
      plan_(plan),
      source_(source),
      directory_(report_directory(options)),
      progress_(progress_options(options)) {}

// Not before the run holds the lock on OUT: another run's events stay its own.
void Reporting::start_events() {
  if (started_) return;
  started_ = true;
  if (!directory_) return;
  progress_.set_events(EventLog(*directory_ / "events.jsonl", options_.resume));
  progress_.events().started(
      plan_, options_.input.string(), options_.out.string());
}

void Reporting::failed(const std::string& message, ErrorKind kind) {
  progress_.clear();
  // These are refusals: nothing was begun, so nothing is written.
  if (kind != ErrorKind::Usage && kind != ErrorKind::Target) start_events();
  if (started_) progress_.events().failed(message, exit_code(kind));
}

RunResult Reporting::run(
    RunOptions run_options,
    const std::function<RunResult(const RunOptions&)>& run) {
  run_options.finished = [this](const PlannedTensor& planned,
                                const TensorResult& result,
                                const RunProgress& progress) {
    start_events();
    progress_.finished(planned, result, progress);
  };
  run_options.tick = [this](const RunProgress& progress) {
    start_events();
    progress_.tick(progress);
    if (take_status_request()) progress_.print_status(progress);
  };
  run_options.before_publish = [this](const RunResult& result) {
    progress_.clear();
    start_events();
    write_report(result);
  };
  run_options.published = [this](const RunResult& result) {
    start_events();
    progress_.events().finished(result, plan_.output_bytes);
  };
  run_options.stop = [] { return stop_signal() != 0; };
  try {
    RunResult result = run(run_options);
    progress_.clear();
    warn_of_trouble();
    return result;
  } catch (const Error& e) {
    failed(e.what(), e.kind());
    throw;
  } catch (const std::exception& e) {
    failed(e.what(), ErrorKind::Unexpected);
    throw;
  }
}

void Reporting::write_report(const RunResult& result) {
  if (!directory_) return;
  try {
    report::write(*directory_,
                  {.plan = plan_,
                   .result = result,
                   .command = invocation(),
                   .source = options_.input.string(),
                   .output = options_.out.string(),
                   .source_kind = source_.kind(),
                   .fingerprint = source_.fingerprint(),
                   .instruction_set = kernels::level_name(kernels::host_caps()),
                   .min_sqnr = options_.min_sqnr});
  } catch (const std::exception& e) {
    trouble_ = e.what();
  }
  progress_.events().sync();
}

void Reporting::warn_of_trouble() const {
  std::string what = trouble_;
  if (what.empty() && directory_ && progress_.events().broken()) {
    what = "report: events.jsonl could not be written";
  }
  if (what.empty()) return;
  print_error(
      fmt::format("warning: {}; {} is complete", what, options_.out.string()));
}

void Reporting::require_quality(const RunResult& result) const {
  if (!options_.min_sqnr) return;
  const report::Missed missed =
      report::below_threshold(plan_, result, *options_.min_sqnr);
  if (missed.tensors == 0) return;
  throw Error(
      ErrorKind::Quality,
      fmt::format("--min-sqnr {}: {} tensor{} below it: {}. {} is complete{}",
                  *options_.min_sqnr,
                  missed.tensors,
                  missed.tensors == 1 ? " lies" : "s lie",
                  missed.worst,
                  options_.out.string(),
                  directory_
                      ? "; " + directory_->string() + " shows every tensor"
                      : ""));
}

}  // namespace mantissa::cli
