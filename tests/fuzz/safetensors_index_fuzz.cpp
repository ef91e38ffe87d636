// model.safetensors.index.json: refused with Error(Input), or every file name
// in it stays inside the folder.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <mantissa/core/error.h>

#include "checkpoint/safetensors_index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  using namespace mantissa;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& [name, file] : parse_index(text, "fuzz").weight_map) {
      if (file.empty() || file.front() == '/') std::abort();
      if (("/" + file + "/").find("/../") != std::string::npos) std::abort();
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::Input) std::abort();
  }
  return 0;
}
