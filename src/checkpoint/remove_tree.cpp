#include "checkpoint/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// A directory that is open.
class Handle {
 public:
  explicit Handle(int file) : file_(file) {}
  Handle(Handle&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~Handle() {
    if (file_ >= 0) ::close(file_);
  }
  int get() const { return file_; }

 private:
  int file_;
};

// A directory on the way from the root to where the walk is.
struct Level {
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> left = {};  // directories in it, not yet removed
};

class Removal {
 public:
  explicit Removal(const std::filesystem::path& path) : root_(path.string()) {}

  void run() {
    if (remove_entry(AT_FDCWD, root_)) return;
    Handle here = enter(AT_FDCWD, root_);
    for (;;) {
      std::vector<std::string>& left = levels_.back().left;
      if (!left.empty()) {
        const std::string name = std::move(left.back());
        left.pop_back();
        here = enter(here.get(), name);
      } else if (levels_.size() > 1) {
        here = leave(here);
      } else {
        break;
      }
    }
    levels_.clear();
    remove_directory(AT_FDCWD, root_);
  }

 private:
  // `name` is one in the directory where the walk is, or "" for that itself.
  [[noreturn]] void fail(const char* what, const std::string& name) const {
    const int code = errno;
    std::filesystem::path path;
    for (const Level& level : levels_) path /= level.name;
    if (!name.empty()) path /= name;
    throw Error(
        ErrorKind::Target,
        fmt::format("{}: {}: {}", path.string(), what, std::strerror(code)));
  }

  // False for a directory that is not empty. Unlinking says what an entry is;
  // some file systems answer EPERM for a directory.
  bool remove_entry(int parent, const std::string& name) const {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) {
      return true;
    }
    const int code = errno;
    if (code == EISDIR || code == EPERM) {
      if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return true;
      if (errno == ENOTEMPTY || errno == EEXIST) return false;
      if (errno == ENOTDIR) errno = code;
    }
    fail("cannot remove", name);
  }

  void remove_directory(int parent, const std::string& name) const {
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 &&
        errno != ENOENT) {
      fail("cannot remove", name);
    }
  }

  Handle open(int parent, const std::string& name) const {
    Handle opened(::openat(parent, name.c_str(), kDirectory));
    if (opened.get() < 0) fail("cannot open", name);
    return opened;
  }

  struct stat examine(const Handle& directory) const {
    struct stat info{};
    if (::fstat(directory.get(), &info) != 0) fail("cannot examine", "");
    return info;
  }

  // Down, where everything but directories goes at once.
  Handle enter(int parent, const std::string& name) {
    Handle here = open(parent, name);
    const struct stat info = examine(here);
    levels_.push_back({name, info.st_dev, info.st_ino});
    levels_.back().left = remove_entries(here);
    return here;
  }

  // Removes what it can; the directories that are not empty.
  std::vector<std::string> remove_entries(const Handle& here) const {
    // fdopendir() takes the handle that it gets; ours stays where the walk is.
    const int copy = ::openat(here.get(), ".", kDirectory);
    if (copy < 0) fail("cannot open", "");
    const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(copy),
                                                   ::closedir);
    if (list == nullptr) {
      const Handle closes(copy);
      fail("cannot read", "");
    }
    std::vector<std::string> left;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(list.get());
      if (entry == nullptr && errno != 0) fail("cannot read", "");
      if (entry == nullptr) return left;
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (!remove_entry(here.get(), name)) left.push_back(name);
    }
  }

  // Up by "..", which another program may have moved.
  Handle leave(const Handle& here) {
    Handle parent = open(here.get(), "..");
    const struct stat info = examine(parent);
    const std::string name = std::move(levels_.back().name);
    levels_.pop_back();
    if (info.st_dev != levels_.back().device ||
        info.st_ino != levels_.back().inode) {
      errno = EBUSY;
      fail("was moved while it was removed", name);
    }
    remove_directory(parent.get(), name);
    return parent;
  }

  std::string root_;
  std::vector<Level> levels_;
};

}  // namespace

void remove_tree(const std::filesystem::path& path) { Removal(path).run(); }

}  // namespace mantissa
