#pragma once

#include <cstdint>

namespace mantissa {

/// Largest resident set of this process so far, in bytes (VmHWM of Linux, which
/// unlike getrusage() does not count what the process was before exec()); 0
/// where it is not known.
std::int64_t peak_memory();

}  // namespace mantissa
