#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "checkpoint/report/facts.h"
#include "cli/color.h"
#include "cli/progress_text.h"
#include "core/process_memory.h"

namespace mantissa::cli {
namespace {

constexpr std::size_t kNotableLines = 4;
constexpr double kEventSeconds = 1;
constexpr double kDrawSeconds = 0.1;

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) {
    return 80;
  }
  return size.ws_col;
}

void put(const std::string& text) { std::fputs(text.c_str(), stderr); }

}  // namespace

Progress::Progress(ProgressOptions options) : options_(options) {}

bool Progress::is_notable(const PlannedTensor& planned,
                          const TensorResult& result) {
  if (planned.action == Action::Skip) return true;
  const auto worst = report::worst_matrix(result);
  if (!worst) return false;
  const bool below = options_.min_sqnr && worst->sqnr < *options_.min_sqnr;
  const bool lowest = any_worst_ && worst->sqnr < worst_ - 1;
  if (!any_worst_ || worst->sqnr < worst_) worst_ = worst->sqnr;
  any_worst_ = true;
  return below || lowest;
}

void Progress::finished(const PlannedTensor& planned,
                        const TensorResult& result,
                        const RunProgress& progress) {
  events_.tensor(planned, result, progress);
  if (options_.quiet) return;
  const bool notable = is_notable(planned, result);
  if (options_.verbose) {
    print_line(tensor_line(planned, result, progress));
  } else if (notable && options_.terminal && !options_.hidden) {
    notable_.push_back(tensor_line(planned, result, progress));
    if (notable_.size() > kNotableLines) notable_.pop_front();
  }
  // A run shorter than a tick shows something too.
  if (options_.terminal && !options_.hidden &&
      (last_draw_ == 0 || progress.seconds - last_draw_ >= kDrawSeconds)) {
    draw(progress);
  }
}

void Progress::tick(const RunProgress& progress) {
  if (progress.seconds - last_event_ >= kEventSeconds) {
    events_.progress(progress);
    last_event_ = progress.seconds;
  }
  if (options_.quiet || options_.hidden) return;
  if (options_.terminal) {
    draw(progress);
  } else if (progress.seconds - last_line_ >= options_.every_seconds) {
    print_status(progress);
    last_line_ = progress.seconds;
  }
}

void Progress::print_status(const RunProgress& progress) {
  print_line("mantissa: " + status_text(progress, peak_memory()));
}

void Progress::print_line(const std::string& line) {
  clear();
  put(line + "\n");
}

// The cursor rests at the start of the status line; the log stands below it.
void Progress::draw(const RunProgress& progress) {
  const std::size_t columns = terminal_columns() - 1;
  std::string text = "\r\033[J";
  text += bold(fitted(status_text(progress, peak_memory()), columns),
               options_.color);
  for (const std::string& line : notable_) {
    text += "\n" + dim(fitted(line, columns), options_.color);
  }
  if (!notable_.empty()) {
    text += "\033[" + std::to_string(notable_.size()) + "A";
  }
  put(text + "\r");
  drawn_ = true;
  last_draw_ = progress.seconds;
}

void Progress::clear() {
  if (drawn_) put("\r\033[J");
  drawn_ = false;
}

}  // namespace mantissa::cli
