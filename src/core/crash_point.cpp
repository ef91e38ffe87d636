#include "core/crash_point.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <sstream>
#include <string>

namespace mantissa {
namespace {

struct CrashAt {
  std::string name;
  std::atomic<long> left = 0;
  int signal = SIGKILL;

  CrashAt() { read(); }

  void read() {
    name.clear();
    signal = SIGKILL;
    const char* text = std::getenv("MANTISSA_CRASH_AT");
    if (text == nullptr) return;
    std::istringstream words(text);
    long count = 0;
    char colon = 0;
    std::getline(words, name, ':');
    words >> count;
    left = count;
    if (words >> colon) words >> signal;
  }
};

CrashAt& crash_at() {
  static CrashAt at;
  return at;
}

}  // namespace

void crash_point(std::string_view name) {
  CrashAt& at = crash_at();
  if (at.name.empty() || at.name != name) return;
  if (--at.left == 0) std::raise(at.signal);
}

void reread_crash_point() { crash_at().read(); }

bool crash_points_active() { return !crash_at().name.empty(); }

}  // namespace mantissa
