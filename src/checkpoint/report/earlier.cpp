#include "checkpoint/report/earlier.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/input_file.h"
#include "core/quoted.h"

namespace mantissa::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kLargestSummary = std::int64_t{1} << 28;
constexpr std::int64_t kLongestEvent = std::int64_t{1} << 16;
constexpr const char* kEvents = "events.jsonl";

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

// Null unless it is an object.
Json parse_object(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json();
}

bool is_regular(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(path, ignored));
}

// Null when there is none of ours.
Json read_summary(const fs::path& directory) {
  const fs::path path = directory / "summary.json";
  if (!is_regular(path)) return {};
  try {
    Json json = parse_object(read_text(path, kLargestSummary));
    return text_of(json, "tool") == "mantissa" ? json : Json();
  } catch (const Error&) {
    return {};
  }
}

// The events of a run begin with what was started; a kill may leave none.
bool is_event_log(const fs::path& path) {
  if (!is_regular(path)) return false;
  try {
    const InputFile file(path);
    if (file.size() == 0) return true;
    std::string text(
        static_cast<std::size_t>(std::min(file.size(), kLongestEvent)), '\0');
    file.read_at(0, std::as_writable_bytes(std::span(text)));
    const Json first = parse_object(std::string_view(text).substr(
        0, std::min(text.find('\n'), text.size())));
    return text_of(first, "event") == "started" &&
           !text_of(first, "tool_version").empty();
  } catch (const Error&) {
    return false;
  }
}

// A run that was stopped leaves its events and perhaps a page half written.
bool is_of_stopped_run(const fs::path& directory) {
  const std::set<fs::path> ours = {kEvents, "summary.json.new"};
  return is_event_log(directory / kEvents) &&
         std::ranges::all_of(fs::directory_iterator(directory),
                             [&](const fs::directory_entry& entry) {
                               return ours.contains(entry.path().filename());
                             });
}

constexpr const char* kRemedy =
    "name another folder with --report, or use --no-report";

[[noreturn]] void refuse(const fs::path& directory, const std::string& what) {
  throw Error(ErrorKind::Usage,
              fmt::format("report: {} {}; {}",
                          printable(directory.string()),
                          what,
                          kRemedy));
}

}  // namespace

std::optional<Earlier> read_earlier(const fs::path& directory) {
  const Json json = read_summary(directory);
  if (json.is_null()) return {};
  Earlier out;
  out.run_xxh3 = text_of(json, "run_xxh3");
  out.outputs_xxh3 = text_of(json, "outputs_xxh3");
  const Json worst =
      json.value("/quality/worst/0"_json_pointer, Json::object());
  if (!worst.is_object()) return out;
  out.worst_tensor = text_of(worst, "name");
  const auto sqnr = worst.find("worst_matrix_sqnr_db");
  if (sqnr != worst.end() && sqnr->is_number()) out.worst_sqnr = *sqnr;
  return out;
}

void require_ours(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored) ||
      ::access(directory.c_str(), R_OK | X_OK) != 0 ||
      fs::is_empty(directory) || !read_summary(directory).is_null() ||
      is_of_stopped_run(directory)) {
    return;
  }
  refuse(directory, "holds files that are no report of mantissa");
}

void require_makeable(const fs::path& directory) {
  std::error_code ignored;
  fs::path standing = fs::absolute(directory).lexically_normal();
  while (standing.has_relative_path() &&
         !fs::exists(fs::symlink_status(standing, ignored))) {
    standing = standing.parent_path();
  }
  if (!fs::is_directory(standing, ignored)) {
    refuse(directory,
           fmt::format("cannot be made: {} is no folder",
                       printable(standing.string())));
  }
  // As for OUT, only making something tells whether it can be made.
  std::string probe = (standing / ".mantissa.XXXXXX").string();
  if (::mkdtemp(probe.data()) == nullptr) {
    const int code = errno;
    throw Error(ErrorKind::Target,
                fmt::format("report: {} cannot be written: {}; {}",
                            printable(directory.string()),
                            std::strerror(code),
                            kRemedy));
  }
  ::rmdir(probe.c_str());
}

}  // namespace mantissa::report
