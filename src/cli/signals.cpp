#include "cli/signals.h"

#include <atomic>
#include <csignal>

namespace mantissa::cli {
namespace {

std::atomic<int> stop = 0;
std::atomic<bool> status_wanted = false;
static_assert(std::atomic<int>::is_always_lock_free);

void on_stop(int signal) { stop = signal; }
void on_status(int) { status_wanted = true; }

void handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_signals() {
  for (const int signal : {SIGINT, SIGTERM}) {
    handle(signal, on_stop, SA_RESTART | static_cast<int>(SA_RESETHAND));
  }
  handle(SIGUSR1, on_status, SA_RESTART);
  handle(SIGXFSZ, SIG_IGN, 0);
}

void release_signals() {
  for (const int signal : {SIGINT, SIGTERM}) handle(signal, SIG_DFL, 0);
}

int stop_signal() { return stop; }

bool take_status_request() { return status_wanted.exchange(false); }

}  // namespace mantissa::cli
