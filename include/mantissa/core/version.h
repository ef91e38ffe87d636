#pragma once

namespace mantissa {

/// Version of the library and the tool; it stands in every file they write.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace mantissa
