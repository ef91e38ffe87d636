#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/output_lock.h"
#include "checkpoint/plan.h"

namespace mantissa {

/// What may stand at the output's place, and what becomes of it.
struct Existing {
  bool replace = false;  ///< OUT is exchanged at the end (--force)
  bool restart = false;  ///< OUT.partial is discarded (--restart)
  bool resume = false;   ///< OUT.partial is continued (--resume)
};

/// True when `inner`, which need not exist, is the directory `outer` or lies in
/// it, whatever links and ".." its path has.
bool is_within(const std::filesystem::path& inner,
               const std::filesystem::path& outer);

/// OUT.partial, where OUT is written.
std::filesystem::path partial_path(const std::filesystem::path& out);

/// Refuses before the first byte: OUT inside or around the input (empty: there
/// is none) or equal to it, OUT or OUT.partial standing (Usage); parent missing
/// or not writable (Target); disk short of `bytes` (Resources).
void check_output(const std::filesystem::path& input,
                  const std::filesystem::path& out,
                  Existing existing,
                  std::int64_t bytes);

/// OUT.partial while it is written: files of fixed size, bytes put at fixed
/// offsets by any thread, published by one rename. Destroyed before publish()
/// it leaves OUT.partial behind.
///
/// The journal stays in the directory until after the rename, so that a kill
/// at any instant loses none of what it claims: a directory OUT that holds a
/// journal is complete, and only has to be tidied (tidy_published()). An old
/// OUT that a kill left at OUT.partial is removed by the next run that may
/// replace OUT.
class OutputDirectory {
 public:
  /// Creates and locks OUT.partial, empty unless it is to be continued; throws
  /// Error(Target) naming the process that holds it when another run does.
  OutputDirectory(std::filesystem::path out, Existing existing);
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Path of a file inside OUT.partial; makes its folders.
  std::filesystem::path path(const std::string& name) const;
  /// Removes everything that an earlier run left.
  void clear();
  /// Throws Error(Usage) naming what is none of these files, or not a regular
  /// file: it would be published along. Lock and journal may be there.
  void require_only(std::set<std::string> files) const;
  /// Removes OUT.partial altogether.
  void discard();
  /// Opens a shard and puts its header; its data follows by write(). The data
  /// of an earlier run stays when the file has the right size and header.
  void open_shard(const Shard& shard);
  /// Puts bytes into shard `index` (order of create_shard). Throws
  /// Error(Resources) when the disk is full.
  void write(std::size_t index,
             std::int64_t offset,
             std::span<const std::byte> bytes);
  /// Bytes of shard `index`. Throws Error(Target) when they cannot be read.
  void read(std::size_t index,
            std::int64_t offset,
            std::span<std::byte> bytes) const;
  /// XXH3 of bytes of shard `index`, read back.
  std::uint64_t hash(std::size_t index,
                     std::int64_t offset,
                     std::int64_t bytes) const;
  void write_text(const std::string& name, const std::string& text);
  void copy(const Companion& companion);
  /// Makes everything written to shards so far durable.
  void sync_data();
  /// Syncs everything and renames OUT.partial to OUT; an old OUT is exchanged
  /// in one step and deleted last. `published` is called between the two, when
  /// the journal still tells of a kill.
  void publish(const std::function<void()>& published = {});

  /// Name of the journal inside the directory.
  static constexpr const char* kJournal = ".journal.jsonl";

 private:
  std::filesystem::path out_;
  std::filesystem::path partial_;
  Existing existing_;
  std::optional<OutputLock> lock_;
  std::vector<int> shards_;
};

/// True when OUT was renamed into place by a run that was killed before it
/// could tidy up: complete, with the journal still inside.
bool is_published_with_journal(const std::filesystem::path& out);

/// True when OUT is a directory with a manifest, which the last step of a run
/// writes, and no OUT.partial stands beside it.
bool is_published(const std::filesystem::path& out);

/// Removes lock, journal and the old directory that was exchanged.
void tidy_published(const std::filesystem::path& out);

}  // namespace mantissa
