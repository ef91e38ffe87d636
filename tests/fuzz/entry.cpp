// libFuzzer's entry of one target, which the build names.

#include <cstddef>
#include <cstdint>

#include "fuzz/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size) {
  mantissa::fuzz::MANTISSA_FUZZ_TARGET(
      {reinterpret_cast<const char*>(data), size});
  return 0;
}
