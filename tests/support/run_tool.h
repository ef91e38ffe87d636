#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mantissa::support {

/// What a finished process said.
struct ToolResult {
  int exit_code = -1;
  std::string out;               ///< stdout
  std::string err;               ///< stderr
  double cpu_seconds = 0;        ///< user and system, all threads
  std::int64_t peak_memory = 0;  ///< largest resident set in bytes
};

/// The tool of this build, running beside the test.
class ToolProcess {
 public:
  /// Starts it with these arguments; `environment` ("NAME=value") is added to
  /// the test's own, and `largest_file` limits the bytes of a file it writes
  /// (0: no limit). `out` takes stdout and is closed at the end; -1 reads it
  /// back.
  explicit ToolProcess(const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment = {},
                       std::int64_t largest_file = 0,
                       int out = -1);
  ~ToolProcess();
  ToolProcess(const ToolProcess&) = delete;
  ToolProcess& operator=(const ToolProcess&) = delete;

  /// Waits until it has stopped itself (SIGSTOP); false if it ended instead.
  bool wait_stopped();
  void signal(int number);
  /// Largest resident set so far in bytes, 0 when it has ended.
  std::int64_t peak_memory() const;
  /// Waits for its end.
  ToolResult finish();

 private:
  int pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Runs the tool of this build with these arguments, without a shell.
ToolResult run_tool(const std::vector<std::string>& arguments);

/// The same with stdout going to a file that exists, such as /dev/full.
ToolResult run_tool_to(const std::string& path,
                       const std::vector<std::string>& arguments);

}  // namespace mantissa::support
