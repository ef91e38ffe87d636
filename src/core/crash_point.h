#pragma once

#include <string_view>

namespace mantissa {

/// A place where tests stop the process: with the environment variable
/// MANTISSA_CRASH_AT=name:n[:signal] the n-th call with this name (from 1)
/// raises the signal, SIGKILL unless given. Without the variable it costs one
/// comparison.
void crash_point(std::string_view name);

/// Reads the variable again, which is otherwise read once in a process: for a
/// process that was forked from one and crashes in its place.
void reread_crash_point();

/// True when the variable is set: journals then sync after every line, so that
/// each line is a place to stop at.
bool crash_points_active();

}  // namespace mantissa
