#include "kernels/select.h"

#include <cstdlib>
#include <string_view>

namespace mantissa::kernels {

std::string forced_kernel(const char* op) {
  const char* variable = std::getenv("MANTISSA_KERNEL");
  if (variable == nullptr) return {};
  std::string_view rest = variable;
  const std::string key = std::string(op) + "=";
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    if (item.starts_with(key)) return std::string(item.substr(key.size()));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {};
}

}  // namespace mantissa::kernels
