#include "kernels/convert.h"
#include "kernels/select.h"

namespace mantissa::kernels {

std::vector<KernelInfo> all_kernels(const Caps& caps) {
  std::vector<KernelInfo> out;
  list_convert(caps, out);
  list_find_nonfinite(caps, out);
  return out;
}

}  // namespace mantissa::kernels
