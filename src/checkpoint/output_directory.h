#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/plan.h"

namespace mantissa {

/// What may stand at the output's place.
enum class Existing {
  Refuse,   ///< OUT and OUT.partial must not exist
  Restart,  ///< a stale OUT.partial is discarded (--restart)
  Replace,  ///< OUT is swapped for the new directory at the end (--force)
  ReplaceAndRestart,
};

/// Refuses before the first byte: OUT inside or around the input or equal to
/// it, OUT or OUT.partial standing (Usage); parent missing or not writable
/// (Target); disk short of `bytes` (Resources).
void check_output(const std::filesystem::path& input,
                  const std::filesystem::path& out,
                  Existing existing,
                  std::int64_t bytes);

/// OUT.partial while it is written: files of fixed size, bytes put at fixed
/// offsets by any thread, published by one rename. Destroyed before publish()
/// it leaves OUT.partial behind.
class OutputDirectory {
 public:
  /// Creates and locks OUT.partial; throws Error(Target) naming the process
  /// that holds it when another run does.
  OutputDirectory(std::filesystem::path out, Existing existing);
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Path of a file inside OUT.partial; makes its folders.
  std::filesystem::path path(const std::string& name) const;
  /// Creates a shard with its header; its data follows by write().
  void create_shard(const Shard& shard);
  /// Puts bytes into shard `index` (order of create_shard). Throws
  /// Error(Resources) when the disk is full.
  void write(std::size_t index,
             std::int64_t offset,
             std::span<const std::byte> bytes);
  void write_text(const std::string& name, const std::string& text);
  void copy(const Companion& companion);
  /// Syncs everything and renames OUT.partial to OUT; an old OUT is exchanged
  /// in one step and deleted last.
  void publish();

 private:
  std::filesystem::path out_;
  std::filesystem::path partial_;
  Existing existing_;
  int lock_ = -1;
  std::vector<int> shards_;
};

}  // namespace mantissa
