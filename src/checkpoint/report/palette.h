#pragma once

#include <string>

namespace mantissa::report {

/// A colour of cividis, which is ordered by lightness and looks the same with
/// and without colour vision: 0 is dark blue, 1 is yellow. Clamped.
std::string colour_at(double position);

/// Black or white, whichever contrasts more with colour_at(position).
std::string ink_on(double position);

}  // namespace mantissa::report
