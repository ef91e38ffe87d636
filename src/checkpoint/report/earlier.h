#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mantissa::report {

/// What a report says of the run that wrote it.
struct Earlier {
  std::string run_xxh3;  ///< RunResult::identity; "" in older reports
  std::string outputs_xxh3;
  std::string worst_tensor;          ///< "" when nothing was measured
  std::optional<double> worst_sqnr;  ///< of a matrix in dB; empty: exact
};

/// Reads the summary.json of a folder; nothing when there is none of ours.
std::optional<Earlier> read_earlier(const std::filesystem::path& directory);

/// Throws Error(Usage) for a folder that holds something, and no report of
/// ours, not even that of a run which was stopped: it would be overwritten.
void require_ours(const std::filesystem::path& directory);

/// Throws for a place where no folder can stand: Error(Usage) when it is a file
/// or lies in one, Error(Target) when nothing can be written there.
void require_makeable(const std::filesystem::path& directory);

}  // namespace mantissa::report
