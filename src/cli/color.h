#pragma once

#include <string>
#include <string_view>

namespace mantissa::cli {

/// True when text on `descriptor` gets colour: "always", "never", or "auto":
/// a terminal that is not dumb, and no NO_COLOR in the environment. Throws
/// Error(Usage) for another mode.
bool wants_color(std::string_view mode, int descriptor);

/// SGR attributes; text passes unchanged where `on` is false.
std::string bold(std::string_view text, bool on);
std::string dim(std::string_view text, bool on);
std::string yellow(std::string_view text, bool on);

}  // namespace mantissa::cli
