#include "checkpoint/output_directory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/hash.h"
#include "checkpoint/manifest.h"
#include "checkpoint/remove_tree.h"
#include "core/crash_point.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWritebackBytes = std::int64_t{64} << 10;
constexpr const char* kLock = OutputLock::kFile;

[[noreturn]] void throw_errno(const std::string& what, const fs::path& path) {
  const int code = errno;
  const ErrorKind kind = code == ENOSPC || code == EDQUOT || code == EFBIG
                             ? ErrorKind::Resources
                             : ErrorKind::Target;
  const char* remedy =
      code == EFBIG ? "; raise the limit on the size of files (ulimit -f) and "
                      "go on with --resume, or use --restart with a smaller "
                      "--shard-size"
                    : "";
  throw Error(
      kind,
      fmt::format(
          "{}: {}: {}{}", path.string(), what, std::strerror(code), remedy));
}

fs::path without_slash(fs::path out) {
  return out.has_filename() ? out : out.parent_path();
}

// Device and inode say what strings cannot (links, "..", bind mounts).
bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void check_place(const fs::path& input, const fs::path& out) {
  if (is_within(out, input)) {
    throw Error(ErrorKind::Usage,
                fmt::format("-o {}: is the input or lies inside it; choose a "
                            "place beside {}",
                            out.string(),
                            input.string()));
  }
  if (is_within(input, out)) {
    throw Error(ErrorKind::Usage,
                fmt::format("-o {}: contains the input {}; choose another "
                            "place",
                            out.string(),
                            input.string()));
  }
}

void refuse_if_locked(const fs::path& directory, const fs::path& out) {
  const std::string holder = OutputLock::holder(directory);
  if (!holder.empty()) OutputLock::refuse(out, holder);
}

// --force and --restart delete what stands there: only what looks like ours.
bool is_empty_or_has(const fs::path& directory,
                     const std::function<bool(const fs::path&)>& wanted) {
  bool empty = true;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (wanted(entry.path().filename())) return true;
    empty = false;
  }
  return empty;
}

bool is_of_checkpoint(const fs::path& name) {
  return name == "config.json" || name.extension() == ".safetensors";
}

[[noreturn]] void refuse_standing(const fs::path& out,
                                  Existing existing,
                                  fs::file_status status) {
  const char* what = " exists; --force replaces it";
  if (!fs::is_directory(status)) {
    what = " exists and is no directory; choose another place";
  } else if (existing.resume && is_published(out)) {
    what =
        " is complete: an earlier run published it, and whether that was this "
        "one is not known (its report would tell); --force replaces it";
  }
  throw Error(ErrorKind::Usage, out.string() + what);
}

void check_standing(const fs::path& out, Existing existing) {
  const fs::path partial = partial_path(out);
  if (existing.resume && is_published_with_journal(out)) return;
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(out, ignored);
  if (fs::exists(status)) {
    if (!existing.replace) refuse_standing(out, existing, status);
    if (!fs::is_directory(status)) {
      throw Error(ErrorKind::Usage,
                  out.string() +
                      " is not a directory; --force replaces directories "
                      "only");
    }
    if (!is_empty_or_has(out, is_of_checkpoint)) {
      throw Error(
          ErrorKind::Usage,
          out.string() + " holds no checkpoint; --force does not delete it");
    }
  }
  const fs::file_status left = fs::symlink_status(partial, ignored);
  if (!fs::exists(left)) return;
  if (fs::is_directory(left)) refuse_if_locked(partial, out);
  if (existing.replace && OutputLock::has_exchanged(out, partial)) {
    return refuse_if_locked(out, out);
  }
  if (!existing.restart && !existing.resume) {
    throw Error(ErrorKind::Usage,
                partial.string() +
                    " exists: another run was stopped; --resume continues "
                    "it, --restart discards it");
  }
  if (!fs::is_directory(left)) {
    throw Error(ErrorKind::Usage,
                partial.string() +
                    " is not a directory; remove it or choose another -o");
  }
  const auto is_lock = [](const fs::path& name) { return name == kLock; };
  if (!is_empty_or_has(partial, is_lock)) {
    throw Error(ErrorKind::Usage,
                partial.string() +
                    " was not made by mantissa; remove it or choose another "
                    "-o");
  }
}

// What access() promises is not always so: nothing can be made in /proc, and a
// name may be too long with its suffix. So a directory is made and removed; its
// name is as long as that of OUT.partial.
void check_creatable(const fs::path& out) {
  std::string probe = out.string() + ".pXXXXXX";
  if (::mkdtemp(probe.data()) == nullptr) throw_errno("cannot create", out);
  if (::rmdir(probe.c_str()) != 0) throw_errno("cannot remove", probe);
}

void check_disk(const fs::path& parent, std::int64_t bytes) {
  struct statvfs disk {};
  if (::statvfs(parent.c_str(), &disk) != 0) {
    throw_errno("cannot examine the disk", parent);
  }
  if (disk.f_blocks == 0) return;  // a file system that does not count
  const auto free = static_cast<std::int64_t>(disk.f_bavail) *
                    static_cast<std::int64_t>(disk.f_frsize);
  if (free < bytes) {
    throw Error(ErrorKind::Resources,
                fmt::format("{}: the output needs {} bytes, {} are free",
                            parent.string(),
                            bytes,
                            free));
  }
}

// What the files of a directory take on the disk.
std::int64_t allocated_bytes(const fs::path& directory) {
  std::int64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry :
       fs::recursive_directory_iterator(directory, ignored)) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0) {
      bytes += std::int64_t{status.st_blocks} * 512;
    }
  }
  return bytes;
}

fs::path parent_of(const fs::path& out) {
  const fs::path parent = out.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

void sync_path(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw_errno("cannot open", path);
  const int failed = ::fsync(file);
  ::close(file);
  if (failed != 0) throw_errno("cannot sync", path);
}

// What a run left that was killed between its exchange and its end. Lock and
// journal go even where the old directory is gone: file systems use inodes
// again, and what this run writes would be taken for that directory, or its
// resuming for the end of that run.
void finish_exchange(const fs::path& out) {
  const fs::path old = partial_path(out);
  if (!OutputLock::has_exchanged(out, old)) {
    const bool left =
        OutputLock::has_replaced(out) || is_published_with_journal(out);
    if (!left || !OutputLock::holder(out).empty()) return;
  }
  const OutputLock lock(out, out);
  // Another run may have done it before the lock was ours.
  if (OutputLock::has_exchanged(out, old)) {
    tidy_published(out);
  } else {
    fs::remove(out / OutputDirectory::kJournal);
    fs::remove(out / kLock);
  }
}

}  // namespace

bool is_within(const fs::path& inner, const fs::path& outer) {
  struct stat target {};
  if (::stat(outer.c_str(), &target) != 0) return false;
  std::error_code ignored;
  for (fs::path at = fs::weakly_canonical(fs::absolute(inner), ignored);;
       at = at.parent_path()) {
    struct stat info {};
    if (::stat(at.c_str(), &info) == 0 && same_file(info, target)) return true;
    if (at == at.parent_path() || at.empty()) return false;
  }
}

fs::path partial_path(const fs::path& out) {
  return fs::path(without_slash(out).string() + ".partial");
}

void check_output(const fs::path& input,
                  const fs::path& out,
                  Existing existing,
                  std::int64_t bytes) {
  const fs::path place = without_slash(out);
  if (place.empty()) throw Error(ErrorKind::Usage, "-o: the path is empty");
  if (!input.empty()) check_place(input, place);
  check_standing(place, existing);
  const fs::path parent = parent_of(place);
  if (!fs::is_directory(parent)) {
    throw Error(ErrorKind::Target,
                parent.string() + " is not a directory; make it first");
  }
  if (::access(parent.c_str(), W_OK | X_OK) != 0) {
    throw_errno("cannot write here", parent);
  }
  check_creatable(place);
  // What an interrupted run has written need not be found again.
  const fs::path partial = partial_path(place);
  check_disk(parent, bytes - allocated_bytes(partial));
}

OutputDirectory::OutputDirectory(fs::path out, Existing existing)
    : out_(without_slash(std::move(out))),
      partial_(partial_path(out_)),
      existing_(existing) {
  if (existing_.replace) finish_exchange(out_);
  if (::mkdir(partial_.c_str(), 0777) != 0 && errno != EEXIST) {
    throw_errno("cannot create", partial_);
  }
  lock_.emplace(partial_, out_);
  if (!existing_.resume) clear();
  lock_->note({});
}

OutputDirectory::~OutputDirectory() {
  for (const int shard : shards_) ::close(shard);
}

void OutputDirectory::clear() {
  for (const fs::directory_entry& entry : fs::directory_iterator(partial_)) {
    if (entry.path().filename() != kLock) remove_tree(entry.path());
  }
}

void OutputDirectory::require_only(std::set<std::string> files) const {
  files.insert({kLock, kJournal});
  const auto is_expected = [&](const fs::directory_entry& entry) {
    const std::string name =
        entry.path().lexically_relative(partial_).generic_string();
    const fs::file_status status = entry.symlink_status();
    if (!fs::is_directory(status)) {
      return fs::is_regular_file(status) && files.contains(name);
    }
    const auto inside = files.lower_bound(name + "/");
    return inside != files.end() && inside->starts_with(name + "/");
  };
  std::set<std::string> strays;
  for (const auto& entry : fs::recursive_directory_iterator(partial_)) {
    if (is_expected(entry)) continue;
    strays.insert(entry.path().lexically_relative(partial_).string());
  }
  if (strays.empty()) return;
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}{} would become part of {}, but this run does "
                          "not write such; remove {}, or begin again with "
                          "--restart",
                          partial_.string(),
                          quoted_name(*strays.begin()),
                          strays.size() == 1
                              ? ""
                              : fmt::format(" and {} more", strays.size() - 1),
                          out_.string(),
                          strays.size() == 1 ? "it" : "them"));
}

fs::path OutputDirectory::path(const std::string& name) const {
  const fs::path full = partial_ / name;
  fs::create_directories(full.parent_path());
  return full;
}

void OutputDirectory::discard() {
  try {
    remove_tree(partial_);
  } catch (const Error&) {  // another one is on its way already
  }
}

void OutputDirectory::open_shard(const Shard& shard) {
  const fs::path file = path(shard.file);
  const int handle =
      ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (handle < 0) throw_errno("cannot create", file);
  shards_.push_back(handle);
  struct stat status {};
  if (::fstat(handle, &status) != 0) throw_errno("cannot examine", file);
  std::string header(shard.header.size(), '\0');
  const bool kept = status.st_size == shard.file_bytes &&
                    ::pread(handle, header.data(), header.size(), 0) ==
                        static_cast<ssize_t>(header.size()) &&
                    header == shard.header;
  if (kept) return;
  if (::ftruncate(handle, 0) != 0 ||
      ::ftruncate(handle, shard.file_bytes) != 0) {
    throw_errno("cannot set the size", file);
  }
  write(shards_.size() - 1, 0, std::as_bytes(std::span(shard.header)));
}

void OutputDirectory::read(std::size_t index,
                           std::int64_t offset,
                           std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pread(shards_[index], bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("cannot read back", partial_);
    if (count == 0) {
      throw Error(ErrorKind::Target,
                  partial_.string() +
                      ": a file became shorter; something "
                      "else is writing to it");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

std::uint64_t OutputDirectory::hash(std::size_t index,
                                    std::int64_t offset,
                                    std::int64_t bytes) const {
  Hash64 hash;
  std::vector<std::byte> buffer(static_cast<std::size_t>(
      std::min<std::int64_t>(bytes, std::int64_t{1} << 20)));
  while (hash.bytes() < bytes) {
    const std::span<std::byte> part(
        buffer.data(),
        std::min(buffer.size(),
                 static_cast<std::size_t>(bytes - hash.bytes())));
    read(index, offset + hash.bytes(), part);
    hash.add(part);
  }
  return hash.digest();
}

void OutputDirectory::sync_data() {
  for (const int shard : shards_) {
    if (::fdatasync(shard) != 0) throw_errno("cannot sync", partial_);
  }
}

void OutputDirectory::write(std::size_t index,
                            std::int64_t offset,
                            std::span<const std::byte> bytes) {
  const std::int64_t first = offset;
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(shards_[index], bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw_errno("cannot write", partial_);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
  // The disk starts at once, so that a sync has less to wait for. Only a hint.
  if (offset - first >= kWritebackBytes) {
    ::sync_file_range(
        shards_[index], first, offset - first, SYNC_FILE_RANGE_WRITE);
  }
}

void OutputDirectory::write_text(const std::string& name,
                                 const std::string& text) {
  const fs::path file = path(name);
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream) throw_errno("cannot write", file);
}

void OutputDirectory::copy(const Companion& companion) {
  if (companion.path.empty()) {
    write_text(companion.name, companion.text);
    return;
  }
  std::error_code error;
  fs::copy_file(companion.path,
                path(companion.name),
                fs::copy_options::overwrite_existing,
                error);
  if (error) {
    throw Error(
        ErrorKind::Target,
        fmt::format(
            "cannot copy {}: {}", companion.path.string(), error.message()));
  }
}

void OutputDirectory::publish(const std::function<void()>& published) {
  for (const int shard : shards_) {
    if (::fsync(shard) != 0) throw_errno("cannot sync", partial_);
  }
  std::error_code ignored;
  const bool exchange = fs::exists(fs::symlink_status(out_, ignored));
  if (exchange && !existing_.replace) {
    throw Error(ErrorKind::Target, out_.string() + " appeared meanwhile");
  }
  if (exchange) lock_->note(out_);
  for (const auto& entry : fs::recursive_directory_iterator(partial_)) {
    if (entry.path().extension() != ".safetensors") sync_path(entry.path());
  }
  sync_path(partial_);
  crash_point("publish.before_rename");
  // Without exchange: never over a directory that appeared meanwhile.
  if (::syscall(SYS_renameat2,
                AT_FDCWD,
                partial_.c_str(),
                AT_FDCWD,
                out_.c_str(),
                exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE) != 0) {
    throw_errno("cannot rename to " + out_.string(), partial_);
  }
  crash_point("publish.after_rename");
  sync_path(parent_of(out_));
  if (published) published();
  crash_point("publish.told");
  tidy_published(out_);
}

bool is_published_with_journal(const fs::path& out) {
  std::error_code ignored;
  return fs::is_regular_file(fs::symlink_status(
      without_slash(out) / OutputDirectory::kJournal, ignored));
}

bool is_published(const fs::path& out) {
  const fs::path place = without_slash(out);
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(place, ignored)) &&
         fs::is_regular_file(
             fs::symlink_status(place / Manifest::kFile, ignored)) &&
         !fs::exists(fs::symlink_status(partial_path(place), ignored));
}

void tidy_published(const fs::path& out) {
  const fs::path place = without_slash(out);
  // Without an exchange that is another run's, which began since.
  const fs::path old = partial_path(place);
  if (OutputLock::has_exchanged(place, old)) remove_tree(old);
  crash_point("publish.old_removed");
  fs::remove(place / kLock);
  fs::remove(place / OutputDirectory::kJournal);
  crash_point("publish.tidied");
  sync_path(place);
  sync_path(parent_of(place));
}

}  // namespace mantissa
