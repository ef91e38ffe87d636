#pragma once

namespace mantissa::kernels {

/// Calls plane(lowest bit, width) for each plane of a code in the runtime
/// layout of low-bit weights (lowbit_layout.h), in the order of memory.
template <class Plane>
void for_each_lowbit_plane(int bits, const Plane& plane) {
  if (bits == 8) {
    plane(0, 8);
    return;
  }
  int low = 0;
  for (const int width : {4, 2, 1}) {
    if ((bits & width) == 0) continue;
    plane(low, width);
    low += width;
  }
}

}  // namespace mantissa::kernels
