#include "support/run_tool.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace mantissa::support {
namespace {

std::string read_back(int file) {
  std::string text;
  char buffer[4096];
  ::lseek(file, 0, SEEK_SET);
  for (ssize_t n = 0; (n = ::read(file, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  ::close(file);
  return text;
}

int temporary_file() {
  char name[] = "/tmp/mantissa_tool_XXXXXX";
  const int file = ::mkstemp(name);
  if (file < 0) throw std::runtime_error("no temporary file");
  ::unlink(name);
  return file;
}

// Closes `out` when it has been read back.
ToolResult run(const std::vector<std::string>& arguments, int out) {
  std::vector<char*> argv = {const_cast<char*>(MANTISSA_TOOL)};
  for (const std::string& a : arguments) {
    argv.push_back(const_cast<char*>(a.c_str()));
  }
  argv.push_back(nullptr);
  const int err = temporary_file();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::execv(MANTISSA_TOOL, argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const int code =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, read_back(out), read_back(err)};
}

}  // namespace

ToolResult run_tool(const std::vector<std::string>& arguments) {
  return run(arguments, temporary_file());
}

ToolResult run_tool_to(const std::string& path,
                       const std::vector<std::string>& arguments) {
  const int out = ::open(path.c_str(), O_WRONLY);
  if (out < 0) throw std::runtime_error("cannot open " + path);
  return run(arguments, out);
}

}  // namespace mantissa::support
