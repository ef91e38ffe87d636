#include "checkpoint/report/report.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/report/escape.h"
#include "checkpoint/report/experts.h"
#include "checkpoint/report/forms.h"
#include "core/quoted.h"

namespace mantissa::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamed = 5;

[[noreturn]] void fail(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::Target,
              fmt::format("report: {}: {}", printable(path.string()), what));
}

// All of it, durable; false with errno.
bool write_file(const fs::path& path, std::string_view text) {
  const int file = ::open(path.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                          0666);
  if (file < 0) return false;
  bool sound = true;
  while (sound && !text.empty()) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    sound = count > 0;
    if (sound) text.remove_prefix(static_cast<std::size_t>(count));
  }
  sound = sound && ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  errno = code;
  return sound;
}

// Written beside and renamed, so that a reader never sees half a page.
void replace_file(const fs::path& path, const std::string& text) {
  fs::path fresh = path;
  fresh += ".new";
  std::error_code error;
  fs::remove(fresh, error);  // what a kill left, or a link
  if (!write_file(fresh, text)) {
    const int code = errno;
    fs::remove(fresh, error);
    fail(path, fmt::format("cannot be written: {}", std::strerror(code)));
  }
  fs::rename(fresh, path, error);
  if (error) fail(path, error.message());
}

void sync_directory(const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return;
  ::fsync(file);
  ::close(file);
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  fs::path out = fs::weakly_canonical(fs::absolute(path), error);
  if (error) out = fs::absolute(path).lexically_normal();
  return out.filename().empty() ? out.parent_path() : out;
}

// "OUT" + suffix, for an OUT with or without a slash at its end.
fs::path beside(fs::path out, const char* suffix) {
  if (out.filename().empty()) out = out.parent_path();
  out += suffix;
  return out;
}

bool holds(const fs::path& outer, const fs::path& inner) {
  const auto [end, ignored] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end();
}

}  // namespace

fs::path default_directory(const fs::path& out) {
  return beside(out, ".report");
}

void check_directory(const fs::path& report,
                     const fs::path& input,
                     const fs::path& out) {
  for (const fs::path& other : {input, out, beside(out, ".partial")}) {
    if (!holds(resolved(other), resolved(report))) continue;
    throw Error(ErrorKind::Usage,
                fmt::format("--report: {} lies in {}, and a checkpoint holds "
                            "nothing of its report; name another directory",
                            printable(report.string()),
                            printable(other.string())));
  }
}

void write(const fs::path& directory, const Input& input) {
  const Facts facts = gather_facts(input.plan, input.result);
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) fail(directory, error.message());
  replace_file(directory / "summary.json", summary_json(input, facts));
  replace_file(directory / "tensors.csv", tensors_csv(input));
  replace_file(directory / "report.md", markdown_page(input, facts));
  replace_file(directory / "report.html", html_page(input, facts));
  const fs::path experts = directory / "experts.csv";
  if (expert_rows(input.plan, input.result).empty()) {
    fs::remove(experts, error);  // of an earlier run
  } else {
    replace_file(experts, experts_csv(input.plan, input.result));
  }
  sync_directory(directory);
  sync_directory(fs::absolute(directory).parent_path());
}

Missed below_threshold(const Plan& plan, const RunResult& result, double db) {
  Missed missed;
  for (const Measured& m : gather_facts(plan, result).measured) {
    if (m.worst.sqnr >= db) break;
    if (++missed.tensors > kNamed) continue;
    const bool experts = result.tensors[m.tensor].errors.size() > 1;
    missed.worst +=
        fmt::format("{}{}{} {} dB",
                    missed.worst.empty() ? "" : ", ",
                    printable(plan.tensors[m.tensor].tensor.name),
                    experts ? fmt::format("[{}]", m.worst.index) : "",
                    spell_db(m.worst.sqnr));
  }
  if (missed.tensors > kNamed) {
    missed.worst += fmt::format(" and {} more", missed.tensors - kNamed);
  }
  return missed;
}

std::string command_line(const Input& input) {
  std::string out;
  for (const std::string& word : input.command) {
    out += (out.empty() ? "" : " ") + printable(shell_word(word));
  }
  return out;
}

std::string model_name(const Input& input) {
  fs::path path = input.source;
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

std::string overall_quality(const Facts& facts) {
  if (facts.measured.empty()) return "";
  const double sqnr = facts.total.sqnr();
  return std::isinf(sqnr) ? "exact" : fmt::format("{:.2f} dB", sqnr);
}

}  // namespace mantissa::report
