#pragma once

#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>

namespace mantissa {

/// What a run has finished, one JSON object a line: first the fingerprint of
/// input, config and tool, then a line per tensor. Safe to use from several
/// threads.
class Journal {
 public:
  /// Starts a journal at `path`; throws Error(Target) when it cannot.
  Journal(const std::filesystem::path& path,
          std::string_view source_fingerprint,
          std::string_view config_json);

  /// Records that every byte of `tensor` was handed to the file system.
  void finished(std::string_view tensor);

  /// Name of the file inside OUT.partial; publishing removes it.
  static constexpr const char* kFile = "journal.jsonl";

 private:
  std::filesystem::path path_;
  std::mutex mutex_;
  std::ofstream file_;
};

}  // namespace mantissa
