#pragma once

#include <cstdint>

namespace mantissa {

/// Largest resident set of this process so far, in bytes (VmHWM of Linux, which
/// unlike getrusage() does not count what the process was before exec()); 0
/// where it is not known.
std::int64_t peak_memory();

/// Gives memory that the program has freed back to the system, where the C
/// library knows how (glibc keeps what lies below memory in use). Costs about a
/// millisecond: for after something large.
void give_back_free_memory();

/// From now on the C library keeps what is freed for what comes next, up to
/// half a gigabyte: glibc otherwise maps each tensor of a prompt anew, page by
/// page. For a program that runs a model; what it has loaded stays where it is.
void keep_free_memory();

}  // namespace mantissa
