#include "cli/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <ctime>

#include <nlohmann/json.hpp>

#include <mantissa/core/version.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/facts.h"
#include "cli/progress_text.h"
#include "core/process_memory.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// JSON has no infinity: an exact tensor's SQNR is null.
Json decibel(double sqnr) {
  return std::isfinite(sqnr) ? Json(sqnr) : Json(nullptr);
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

EventLog::EventLog(const std::filesystem::path& path, bool append) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  // Through no link, which may lead to a file of somebody else.
  const int file = ::open(path.c_str(),
                          O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
                              O_NONBLOCK | (append ? O_APPEND : O_TRUNC),
                          0666);
  if (file >= 0) file_.reset(::fdopen(file, append ? "ab" : "wb"));
  broken_ = file_ == nullptr;
}

void EventLog::line(const std::string& json) {
  if (file_ == nullptr) return;
  const bool written = std::fputs((json + "\n").c_str(), file_.get()) >= 0 &&
                       std::fflush(file_.get()) == 0;
  if (written) return;
  broken_ = true;
  file_.reset();
}

void EventLog::started(const Plan& plan,
                       const std::string& input,
                       const std::string& output) {
  if (file_ == nullptr) return;
  line(text_of({{"event", "started"},
                {"schema_version", kSchemaVersion},
                {"tool_version", kVersion},
                {"time", now_utc()},
                {"input", input},
                {"output", output},
                {"tensors", plan.tensors.size()},
                {"source_bytes", plan.source_bytes},
                {"output_bytes", plan.output_bytes}}));
}

void EventLog::tensor(const PlannedTensor& planned,
                      const TensorResult& result,
                      const RunProgress& progress) {
  if (file_ == nullptr) return;
  Json json = {{"event", "tensor"},
               {"seconds", progress.seconds},
               {"tensors_done", progress.tensors_done},
               {"name", planned.tensor.name},
               {"action", name(planned.action)},
               {"from", planned.stored_type},
               {"to", target_name(planned)},
               {"source_bytes", planned.source_bytes},
               {"output_bytes", output_bytes(planned)}};
  if (const auto worst = report::worst_matrix(result)) {
    json["sqnr_db"] = decibel(result.total().sqnr());
    json["worst_matrix_sqnr_db"] = decibel(worst->sqnr);
  }
  if (result.resumed) json["resumed"] = true;
  line(text_of(json));
}

void EventLog::progress(const RunProgress& progress) {
  if (file_ == nullptr) return;
  line(text_of({{"event", "progress"},
                {"seconds", progress.seconds},
                {"tensors_done", progress.tensors_done},
                {"tensors", progress.tensors},
                {"bytes_done", progress.bytes_done},
                {"bytes", progress.bytes},
                {"peak_memory_bytes", peak_memory()},
                {"worst_sqnr_db", decibel(progress.worst_sqnr)},
                {"worst_tensor", progress.worst_tensor}}));
}

void EventLog::finished(const RunResult& result, std::int64_t output_bytes) {
  if (file_ == nullptr) return;
  line(text_of({{"event", "finished"},
                {"time", now_utc()},
                {"seconds", result.seconds},
                {"peak_memory_bytes", result.peak_memory},
                {"resumed_tensors", result.resumed},
                {"output_bytes", output_bytes}}));
  sync();
}

void EventLog::sync() {
  if (file_ != nullptr) ::fdatasync(::fileno(file_.get()));
}

void EventLog::failed(const std::string& message, int exit_code) {
  if (file_ == nullptr) return;
  line(text_of({{"event", "failed"},
                {"time", now_utc()},
                {"exit_code", exit_code},
                {"message", message}}));
}

}  // namespace mantissa::cli
