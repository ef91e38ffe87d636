#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/config.h>

#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"
#include "checkpoint/work_units.h"

namespace mantissa {

/// A unit that a journal claims to be written.
struct JournalEntry {
  WorkUnit unit;
  TensorResult result;  ///< of the unit
};

/// What a run has finished, one JSON object a line: first what the run was made
/// from, then a line per unit. Lines reach the disk after the data that they
/// speak of: every 64 MiB or second, and at the end. Safe to use from several
/// threads.
class Journal {
 public:
  /// The first line: tool version, source files (size, mtime, inode) and
  /// fingerprint, config, and a hash of the plan.
  static std::string head(const Plan& plan,
                          const CheckpointSource& source,
                          const ConfigPtr& config);

  /// Starts a journal, or continues one after `keep` bytes. `sync_data` makes
  /// the data durable that add() has spoken of so far. Throws Error(Target)
  /// when the file cannot be written.
  Journal(std::filesystem::path path,
          const std::string& head,
          std::int64_t keep,
          std::function<void()> sync_data);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Every byte of the unit was handed to the file system. True when data and
  /// lines are due to be made durable; who adds need not wait for that.
  bool add(const Plan& plan, const JournalEntry& entry);
  /// True when sync() is due.
  bool is_due();
  /// Makes durable what was added so far.
  void sync();

 private:
  std::filesystem::path path_;
  std::function<void()> sync_data_;
  int file_ = -1;
  std::mutex sync_mutex_;  ///< one sync at a time
  std::mutex lines_mutex_;
  std::string lines_;       ///< not yet in the file
  std::int64_t bytes_ = 0;  ///< that the lines speak of
  std::chrono::steady_clock::time_point last_;
};

/// XXH3 of the journal's first line: equal for runs that may continue each
/// other.
std::string run_identity(const Plan& plan,
                         const CheckpointSource& source,
                         const ConfigPtr& config);

/// What an earlier run left.
struct JournalContents {
  std::vector<JournalEntry> entries;  ///< one a unit
  std::int64_t bytes = 0;  ///< up to the end of the last sound line
};

/// Reads a journal. Nothing when there is none or its first line is not
/// complete. A torn or senseless line ends it. Throws Error(Usage) that says
/// what differs when it belongs to another input, config, version or plan.
std::optional<JournalContents> read_journal(const std::filesystem::path& path,
                                            const std::string& head,
                                            const Plan& plan);

}  // namespace mantissa
