#include "checkpoint/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

#include "checkpoint/hash.h"
#include "checkpoint/journal_line.h"
#include "configs/fields.h"
#include "core/crash_point.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kSyncBytes = std::int64_t{64} << 20;
constexpr std::chrono::seconds kSyncTime{1};

[[noreturn]] void fail(const std::filesystem::path& path) {
  const int code = errno;
  throw Error(
      code == ENOSPC || code == EDQUOT || code == EFBIG ? ErrorKind::Resources
                                                        : ErrorKind::Target,
      fmt::format(
          "{}: cannot be written: {}", path.string(), std::strerror(code)));
}

void write_all(int file, std::string_view text, const auto& path) {
  while (!text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail(path);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

// Everything that the bytes of OUT follow from beside the weights.
std::string plan_hash(const Plan& plan) {
  Hash128 hash;
  for (const Shard& shard : plan.shards) {
    hash.add(shard.file).add(shard.header);
  }
  for (const TextFile& text : plan.texts) hash.add(text.name).add(text.text);
  for (const Companion& companion : plan.companions) hash.add(companion.name);
  for (const PlannedTensor& planned : plan.tensors) {
    hash.add(planned.tensor.name).add(name(planned.action));
    if (planned.encoding != nullptr) {
      hash.add(planned.encoding->format_name());
      hash.add(planned.encoding->attributes_json());
    }
  }
  return hash.hex();
}

}  // namespace

std::string Journal::head(const Plan& plan,
                          const CheckpointSource& source,
                          const ConfigPtr& config) {
  Json files = Json::array();
  for (const SourceFile& file : source.files()) {
    files.push_back({{"name", file.name},
                     {"size", file.size},
                     {"mtime_ns", file.mtime_ns},
                     {"inode", file.inode}});
  }
  const Json line = {
      {"schema_version", 1},
      {"tool_version", kVersion},
      {"source_files", files},
      {"source_xxh3", source.fingerprint()},
      {"config",
       config == nullptr ? Json(nullptr) : config_object(*config)},
      {"plan_xxh3", plan_hash(plan)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string run_identity(const Plan& plan,
                         const CheckpointSource& source,
                         const ConfigPtr& config) {
  return Hash128().add(Journal::head(plan, source, config)).hex();
}

Journal::Journal(std::filesystem::path path,
                 const std::string& head,
                 std::int64_t keep,
                 std::function<void()> sync_data)
    : path_(std::move(path)),
      sync_data_(std::move(sync_data)),
      last_(Clock::now()) {
  file_ = ::open(path_.c_str(),
                 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                 0666);
  if (file_ < 0) fail(path_);
  if (::ftruncate(file_, keep) != 0) fail(path_);
  if (keep == 0) write_all(file_, head, path_);
  if (::fdatasync(file_) != 0) fail(path_);
  crash_point("journal.started");
}

Journal::~Journal() {
  if (file_ >= 0) ::close(file_);
}

bool Journal::add(const Plan& plan, const JournalEntry& entry) {
  const std::string line = journal_line(plan, entry);
  std::int64_t bytes = 0;
  for (const ByteRange& range :
       unit_ranges(plan.tensors[entry.unit.tensor], entry.unit)) {
    bytes += range.bytes;
  }
  {
    const std::lock_guard lock(lines_mutex_);
    lines_ += line;
    bytes_ += bytes;
  }
  crash_point("journal.added");
  if (crash_points_active()) sync();
  return is_due();
}

bool Journal::is_due() {
  const std::lock_guard lock(lines_mutex_);
  return !lines_.empty() &&
         (bytes_ >= kSyncBytes || Clock::now() - last_ >= kSyncTime);
}

void Journal::sync() {
  const std::lock_guard one(sync_mutex_);
  std::string lines;
  {
    const std::lock_guard lock(lines_mutex_);
    lines.swap(lines_);
    bytes_ = 0;
    last_ = Clock::now();
  }
  if (lines.empty()) return;
  sync_data_();
  crash_point("journal.data_synced");
  write_all(file_, lines, path_);
  crash_point("journal.written");
  if (::fdatasync(file_) != 0) fail(path_);
  crash_point("journal.synced");
}

}  // namespace mantissa
