#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/pipeline.h"

namespace mantissa::cli {

/// events.jsonl: one JSON object per line, flushed line by line, for machines
/// that watch a run. Trouble with the file never stops the run: failed() tells
/// it afterwards.
class EventLog {
 public:
  /// No file: every call does nothing.
  EventLog() = default;
  /// Makes the folder; `append` continues the file of an interrupted run.
  EventLog(const std::filesystem::path& path, bool append);

  void started(const Plan& plan,
               const std::string& input,
               const std::string& output);
  void tensor(const PlannedTensor& planned,
              const TensorResult& result,
              const RunProgress& progress);
  void progress(const RunProgress& progress);
  /// The last line; everything is on the disk then.
  void finished(const RunResult& result, std::int64_t output_bytes);
  void failed(const std::string& message, int exit_code);

  /// Waits until the disk has every line.
  void sync();
  /// True when a line could not be written.
  bool broken() const { return broken_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void line(const std::string& json);

  std::unique_ptr<std::FILE, Close> file_;
  bool broken_ = false;
};

}  // namespace mantissa::cli
