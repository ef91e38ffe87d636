#include "kernels/caps.h"

#include <cstdlib>

#include <mantissa/core/error.h>

namespace mantissa::kernels {
namespace {

Caps machine_caps() {
  Caps caps;
#if defined(__x86_64__)
  __builtin_cpu_init();
  caps.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("f16c");
  caps.avx512 = caps.avx2 && __builtin_cpu_supports("avx512f") &&
                __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
  caps.avx512vnni = caps.avx512 && __builtin_cpu_supports("avx512vnni");
  caps.avx512bf16 = caps.avx512 && __builtin_cpu_supports("avx512bf16");
#endif
  return caps;
}

}  // namespace

Caps limit_caps(const Caps& machine, const std::string& limit) {
  if (limit.empty()) return machine;
  Caps caps = machine;
  if (limit == "avx512") {
    caps.avx512vnni = caps.avx512bf16 = false;
  } else if (limit == "avx2") {
    caps.avx512 = caps.avx512vnni = caps.avx512bf16 = false;
  } else if (limit == "scalar") {
    caps = {};
  } else {
    throw Error(
        ErrorKind::Usage,
        "MANTISSA_CPU: expected scalar, avx2 or avx512, got '" + limit + "'");
  }
  return caps;
}

const Caps& host_caps() {
  static const Caps caps = [] {
    const char* limit = std::getenv("MANTISSA_CPU");
    return limit_caps(machine_caps(), limit == nullptr ? "" : limit);
  }();
  return caps;
}

const char* level_name(const Caps& caps) {
  if (caps.avx512) return "avx512";
  return caps.avx2 ? "avx2" : "scalar";
}

}  // namespace mantissa::kernels
