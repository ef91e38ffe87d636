#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa::report {

/// What a report tells: the plan, what the run measured, and where from.
struct Input {
  const Plan& plan;
  const RunResult& result;
  std::vector<std::string> command;  ///< words as typed, the tool's name first
  std::string source;                ///< path of the input as typed
  std::string output;                ///< path of OUT as typed
  std::string source_kind;           ///< CheckpointSource::kind()
  std::string fingerprint;           ///< CheckpointSource::fingerprint()
  std::string instruction_set;       ///< "avx512", "avx2", "scalar"
  std::optional<double> min_sqnr;    ///< threshold in dB
};

/// OUT.report for an OUT, beside it.
std::filesystem::path default_directory(const std::filesystem::path& out);

/// Throws Error(Usage) when `report` is or lies in the input, OUT or
/// OUT.partial: nothing of a report stands inside a checkpoint.
void check_directory(const std::filesystem::path& report,
                     const std::filesystem::path& input,
                     const std::filesystem::path& out);

/// Writes summary.json, tensors.csv, report.md, report.html and, where there
/// are 3-D weights, experts.csv into `directory`, which is made; each file is
/// replaced in one step. Throws Error(Target) when that fails.
void write(const std::filesystem::path& directory, const Input& input);

/// What missed a threshold.
struct Missed {
  std::size_t tensors = 0;
  /// The worst five, worst first: "NAME 18.20 dB", an expert in brackets.
  std::string worst;
};

/// Tensors with a matrix whose SQNR is below `db`.
Missed below_threshold(const Plan& plan, const RunResult& result, double db);

}  // namespace mantissa::report
