#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>

#include "checkpoint/pipeline.h"
#include "cli/progress.h"
#include "cli/quantize_options.h"

namespace mantissa::cli {

/// --report, --no-report, --min-sqnr, --no-progress, --color.
void add_report_options(CLI::App& command, QuantizeOptions& options);

/// Where the report goes: --report, or beside OUT unless --no-report or a
/// command that has none by default.
std::optional<std::filesystem::path> report_directory(
    const QuantizeOptions& options);

/// Throws before a run for a place where its report cannot stand: Error(Usage)
/// inside a checkpoint, over files of somebody else, or at a file that --report
/// names; Error(Target) where --report cannot be written.
void check_report(const QuantizeOptions& options);

/// What stands around a run: progress on stderr, events, the report, the
/// threshold. Options, plan and source outlive it.
class Reporting {
 public:
  Reporting(const QuantizeOptions& options,
            const Plan& plan,
            const CheckpointSource& source);

  /// Runs `run` with these options and our callbacks; an error leaves a
  /// "failed" event and goes on. The report is written before OUT stands;
  /// trouble with it is a warning on stderr when OUT is complete.
  RunResult run(RunOptions run_options,
                const std::function<RunResult(const RunOptions&)>& run);
  /// Throws Error(Quality) naming the worst tensors when --min-sqnr is missed.
  void require_quality(const RunResult& result) const;
  const std::optional<std::filesystem::path>& directory() const {
    return directory_;
  }

 private:
  void start_events();
  void write_report(const RunResult& result);
  void warn_of_trouble() const;
  void failed(const std::string& message, ErrorKind kind);

  const QuantizeOptions& options_;
  const Plan& plan_;
  const CheckpointSource& source_;
  std::optional<std::filesystem::path> directory_;
  Progress progress_;
  std::string trouble_;  ///< with the report
  bool started_ = false;
};

}  // namespace mantissa::cli
