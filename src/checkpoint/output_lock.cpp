#include "checkpoint/output_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReplaces = "replaces";

// What the file says: the process, then what it replaces.
std::istringstream words_of(const fs::path& directory) {
  std::array<char, 128> text{};
  const fs::path path = directory / OutputLock::kFile;
  const int file =
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return {};
  const ssize_t count = ::read(file, text.data(), text.size());
  ::close(file);
  return std::istringstream(std::string(
      text.data(), static_cast<std::size_t>(count < 0 ? 0 : count)));
}

[[noreturn]] void fail(const char* what, const fs::path& path) {
  const int code = errno;
  throw Error(
      ErrorKind::Target,
      fmt::format("{}: {}: {}", path.string(), what, std::strerror(code)));
}

// A FIFO or a device of this name is not of ours, and would not be released.
void require_regular(int file, const fs::path& path) {
  struct stat info {};
  if (::fstat(file, &info) == 0 && S_ISREG(info.st_mode)) return;
  ::close(file);
  throw Error(ErrorKind::Target,
              path.string() + ": is no regular file; remove it");
}

// 0 for what is no directory.
ino_t inode_of(const fs::path& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0) return 0;
  return S_ISDIR(info.st_mode) ? info.st_ino : 0;
}

// Of what the process that wrote `out` put it in place of; 0 for nothing.
ino_t replaced_inode(const fs::path& out) {
  std::istringstream words = words_of(out);
  std::string process;
  std::string said;
  ino_t inode = 0;
  return words >> process >> said >> inode && said == kReplaces ? inode : 0;
}

}  // namespace

OutputLock::OutputLock(const fs::path& directory, const fs::path& out)
    : path_(directory / kFile) {
  file_ = ::open(path_.c_str(),
                 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                 0666);
  if (file_ < 0) fail("cannot create", path_);
  require_regular(file_, path_);
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(file_);
  refuse(out, holder(directory));
}

OutputLock::~OutputLock() { ::close(file_); }

void OutputLock::note(const fs::path& old) {
  std::string text = std::to_string(::getpid()) + "\n";
  if (!old.empty()) {
    text += fmt::format("{} {}\n", kReplaces, inode_of(old));
  }
  if (::ftruncate(file_, 0) != 0 ||
      ::pwrite(file_, text.data(), text.size(), 0) < 0) {
    fail("cannot write", path_);
  }
}

std::string OutputLock::holder(const fs::path& directory) {
  const fs::path lock = directory / kFile;
  const int file =
      ::open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return {};
  require_regular(file, lock);
  std::string name;
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    words_of(directory) >> name;
    if (name.empty()) name = "unknown";
  }
  ::close(file);
  return name;
}

void OutputLock::refuse(const fs::path& out, const std::string& holder) {
  throw Error(ErrorKind::Target,
              fmt::format("{}: locked by process {}; wait for it",
                          out.string(),
                          holder.empty() ? "unknown" : holder));
}

bool OutputLock::has_replaced(const fs::path& out) {
  return replaced_inode(out) != 0;
}

bool OutputLock::has_exchanged(const fs::path& out, const fs::path& old) {
  const ino_t inode = replaced_inode(out);
  return inode != 0 && inode_of(old) == inode;
}

}  // namespace mantissa
