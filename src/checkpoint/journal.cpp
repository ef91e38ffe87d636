#include "checkpoint/journal.h"

#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>

namespace mantissa {

using Json = nlohmann::ordered_json;

Journal::Journal(const std::filesystem::path& path,
                 std::string_view source_fingerprint,
                 std::string_view config_json)
    : path_(path), file_(path, std::ios::binary) {
  const Json config =
      config_json.empty() ? Json(nullptr) : Json::parse(config_json);
  const Json line = {{"schema_version", 1},
                     {"tool_version", kVersion},
                     {"source_xxh3", source_fingerprint},
                     {"config", config}};
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) {
    throw Error(ErrorKind::Target, path.string() + ": cannot write");
  }
}

void Journal::finished(std::string_view tensor) {
  const Json line = {{"finished", tensor}};
  const std::lock_guard lock(mutex_);
  file_ << line.dump() << '\n' << std::flush;
  if (!file_) {
    throw Error(ErrorKind::Resources, path_.string() + ": cannot write");
  }
}

}  // namespace mantissa
