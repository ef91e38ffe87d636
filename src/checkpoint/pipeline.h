#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/output_directory.h"
#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa {

/// How far a run is.
struct RunProgress {
  std::int64_t tensors_done = 0;
  std::int64_t tensors = 0;
  std::int64_t bytes_done = 0;  ///< of the source
  std::int64_t bytes = 0;
  double seconds = 0;
  double worst_sqnr = 0;  ///< of encoded tensors; infinite before the first
  std::string worst_tensor;
};

/// How a plan is run. The callbacks come from any thread, one at a time.
struct RunOptions {
  std::filesystem::path out;
  Existing existing = {};
  int workers = 1;
  /// Tensors that are not quantized may hold NaN and infinity.
  bool allow_nonfinite = false;
  /// After each tensor, also those that --resume takes over.
  std::function<void(const PlannedTensor& planned,
                     const TensorResult& result,
                     const RunProgress& progress)>
      finished = {};
  /// About ten times a second.
  std::function<void(const RunProgress& progress)> tick = {};
  /// When OUT.partial is complete and checked, before it becomes OUT: a report
  /// that is written here is complete whenever OUT stands. From one thread.
  std::function<void(const RunResult& result)> before_publish = {};
  /// When OUT stands. After a kill up to here --resume calls both again.
  std::function<void(const RunResult& result)> published = {};
  /// True: stop soon, with a valid journal.
  std::function<bool()> stop = {};
};

/// Runs a plan without problems: writes OUT.partial, checks what it wrote by
/// reading it back, publishes it as OUT. Bytes do not depend on the number of
/// workers, nor on how often the run was stopped and resumed. Throws
/// Error(Input) with tensor and index for a non-finite weight,
/// Error(Interrupted) when stopped; then nothing is published.
RunResult run_plan(const Plan& plan,
                   const CheckpointSource& source,
                   const ConfigPtr& recorded,
                   const RunOptions& options);

/// A result with the hashes of outputs alone, as the manifest of a directory
/// that was published has them; nothing when it has not all of them.
std::optional<RunResult> published_hashes(const Plan& plan,
                                          const std::filesystem::path& out);

/// Reads every tensor that the plan would encode and returns those with NaN or
/// Inf, each with what was found ("NaN or Inf at index 17").
std::map<std::string, std::string> find_nonfinite_tensors(
    const Plan& plan, const CheckpointSource& source, int workers);

}  // namespace mantissa
