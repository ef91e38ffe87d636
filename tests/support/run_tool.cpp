#include "support/run_tool.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

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

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_usec) / 1e6;
}

int temporary_file() {
  char name[] = "/tmp/mantissa_tool_XXXXXX";
  const int file = ::mkstemp(name);
  if (file < 0) throw std::runtime_error("no temporary file");
  ::unlink(name);
  return file;
}

}  // namespace

ToolProcess::ToolProcess(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment,
                         std::int64_t largest_file,
                         int out)
    : out_(out < 0 ? temporary_file() : out), err_(temporary_file()) {
  std::vector<char*> argv = {const_cast<char*>(MANTISSA_TOOL)};
  for (const std::string& a : arguments) {
    argv.push_back(const_cast<char*>(a.c_str()));
  }
  argv.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ != 0) return;
  for (const std::string& variable : environment) {
    ::putenv(const_cast<char*>(variable.c_str()));
  }
  if (largest_file > 0) {
    const auto limit = static_cast<rlim_t>(largest_file);
    const struct rlimit bytes{limit, limit};
    ::setrlimit(RLIMIT_FSIZE, &bytes);
  }
  ::dup2(out_, STDOUT_FILENO);
  ::dup2(err_, STDERR_FILENO);
  ::execv(MANTISSA_TOOL, argv.data());
  ::_exit(127);
}

ToolProcess::~ToolProcess() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
  if (out_ >= 0) ::close(out_);
  if (err_ >= 0) ::close(err_);
}

bool ToolProcess::wait_stopped() {
  if (ended_) return false;
  ::waitpid(pid_, &status_, WUNTRACED);
  ended_ = !WIFSTOPPED(status_);
  return !ended_;
}

void ToolProcess::signal(int number) { ::kill(pid_, number); }

std::int64_t ToolProcess::peak_memory() const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string word; status >> word;) {
    std::int64_t kibibytes = 0;
    if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

ToolResult ToolProcess::finish() {
  struct rusage usage{};
  if (!ended_) ::wait4(pid_, &status_, 0, &usage);
  ended_ = true;
  const int code =
      WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  return {code,
          read_back(std::exchange(out_, -1)),
          read_back(std::exchange(err_, -1)),
          seconds(usage.ru_utime) + seconds(usage.ru_stime),
          usage.ru_maxrss * std::int64_t{1024}};
}

ToolResult run_tool(const std::vector<std::string>& arguments) {
  return ToolProcess(arguments).finish();
}

ToolResult run_tool_to(const std::string& path,
                       const std::vector<std::string>& arguments) {
  const int out = ::open(path.c_str(), O_WRONLY);
  if (out < 0) throw std::runtime_error("cannot open " + path);
  return ToolProcess(arguments, {}, 0, out).finish();
}

}  // namespace mantissa::support
