#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "checkpoint/pipeline.h"
#include "cli/event_log.h"

namespace mantissa::cli {

/// Where a run's progress is shown.
struct ProgressOptions {
  bool terminal = false;  ///< stderr is one: a status line that is redrawn
  bool quiet = false;     ///< no status, no lines
  bool hidden = false;    ///< --no-progress: no status; -v still has its lines
  bool verbose = false;   ///< one line per tensor
  bool color = false;
  std::optional<double> min_sqnr;  ///< below it a tensor is notable
  double every_seconds = 10;       ///< between lines where there is no terminal
};

/// Shows a run on stderr. On a terminal: a status line above the last notable
/// tensors (skipped, below the threshold, or the worst by 1 dB so far).
/// Elsewhere: the status as one line every few seconds. Calls come one at a
/// time.
class Progress {
 public:
  explicit Progress(ProgressOptions options);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Where events go; until then nowhere.
  void set_events(EventLog events) { events_ = std::move(events); }
  EventLog& events() { return events_; }
  const EventLog& events() const { return events_; }
  void finished(const PlannedTensor& planned,
                const TensorResult& result,
                const RunProgress& progress);
  void tick(const RunProgress& progress);
  /// One line now, whatever is shown: the answer to SIGUSR1.
  void print_status(const RunProgress& progress);
  /// Takes the status line off the terminal.
  void clear();

 private:
  bool is_notable(const PlannedTensor& planned, const TensorResult& result);
  void print_line(const std::string& line);
  void draw(const RunProgress& progress);

  ProgressOptions options_;
  EventLog events_;
  std::deque<std::string> notable_;
  double worst_ = 0;
  bool any_worst_ = false;
  double last_line_ = 0;
  double last_event_ = 0;
  double last_draw_ = 0;
  bool drawn_ = false;
};

}  // namespace mantissa::cli
