#pragma once

namespace mantissa::cli {

/// From here on SIGINT and SIGTERM ask a run to stop instead of killing the
/// process (the second one kills), SIGUSR1 asks for its status, and a file that
/// grows beyond its limit is an error instead of a signal.
void catch_signals();

/// From here on SIGINT and SIGTERM kill again.
void release_signals();

/// The signal that asked to stop, or 0.
int stop_signal();

/// True once for each SIGUSR1.
bool take_status_request();

}  // namespace mantissa::cli
