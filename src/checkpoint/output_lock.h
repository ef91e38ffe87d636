#pragma once

#include <filesystem>
#include <string>

namespace mantissa {

/// The lock of an output directory, a file inside it that travels with it: who
/// writes there, and which directory is to be exchanged for it at the end.
class OutputLock {
 public:
  /// Name of the file.
  static constexpr const char* kFile = ".lock";

  /// Makes and takes the lock of a directory; throws Error(Target) naming the
  /// process that holds it when another one does. `out` stands in the message.
  OutputLock(const std::filesystem::path& directory,
             const std::filesystem::path& out);
  ~OutputLock();
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

  /// Writes down this process, and the directory `old` that it is about to
  /// exchange (empty: none).
  void note(const std::filesystem::path& old);

  /// Throws the Error(Target) that the constructor throws.
  [[noreturn]] static void refuse(const std::filesystem::path& out,
                                  const std::string& holder);
  /// Process that holds the lock of a directory, "" when nobody does. Throws
  /// Error(Target) where no regular file has the name.
  static std::string holder(const std::filesystem::path& directory);
  /// True when the process that wrote `out` put it in place of another
  /// directory and left its lock.
  static bool has_replaced(const std::filesystem::path& out);
  /// True when the process that wrote `out` said that `old` is the directory
  /// that it put in its place: what a kill after the exchange leaves.
  static bool has_exchanged(const std::filesystem::path& out,
                            const std::filesystem::path& old);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace mantissa
