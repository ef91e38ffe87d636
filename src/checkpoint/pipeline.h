#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/output_directory.h"
#include "checkpoint/plan.h"

namespace mantissa {

/// How a plan is run.
struct RunOptions {
  std::filesystem::path out;
  Existing existing = Existing::Refuse;
  int workers = 1;
  /// Called after each tensor, from any worker, one call at a time.
  std::function<void(const PlannedTensor& tensor, std::int64_t done)> progress;
};

/// Runs a plan without problems: writes OUT.partial, publishes it as OUT. Bytes
/// do not depend on the number of workers. Throws Error(Input) with tensor and
/// index for a non-finite weight; then nothing is published.
void run_plan(const Plan& plan,
              const CheckpointSource& source,
              const ConfigPtr& recorded,
              const RunOptions& options);

/// Reads every tensor that the plan would encode and returns those with NaN or
/// Inf, each with what was found ("NaN or Inf at index 17").
std::map<std::string, std::string> find_nonfinite_tensors(
    const Plan& plan, const CheckpointSource& source, int workers);

}  // namespace mantissa
