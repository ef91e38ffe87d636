#include "kernels/caps.h"

#include <cstdlib>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <mantissa/core/error.h>

namespace mantissa::kernels {
namespace {

#if defined(__x86_64__)
// Of leaf 7, EDX.
constexpr unsigned kAmxBf16 = 1u << 22;
constexpr unsigned kAmxInt8 = 1u << 25;

// AMX-TILE and `products` by CPUID, and their state kept by the system by XCR0.
bool has_amx(unsigned products) {
  constexpr unsigned kOsxsave = 1u << 27;  // leaf 1, ECX
  const unsigned wanted = (1u << 24) | products;
  constexpr unsigned kTileState = (1u << 17) | (1u << 18);
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsxsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & wanted) != wanted) return false;
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState;
}
#endif

// Linux keeps the 8 KiB of tiles for processes only that ask for them.
bool ask_for_tiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

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
  caps.avx512bf16 = caps.avx512 && __builtin_cpu_supports("avx512bf16") &&
                    __builtin_cpu_supports("avx512vbmi") &&
                    __builtin_cpu_supports("gfni");
  caps.amx_int8 = caps.avx512 && has_amx(kAmxInt8);
  caps.amx_bf16 = caps.avx512bf16 && has_amx(kAmxBf16);
#endif
  return caps;
}

}  // namespace

Caps limit_caps(const Caps& machine, const std::string& limit) {
  if (limit.empty() || limit == "amx") return machine;
  Caps caps = machine;
  if (limit == "avx512vnni") {
    caps = {.avx2 = caps.avx2,
            .avx512 = caps.avx512,
            .avx512vnni = caps.avx512vnni};
  } else if (limit == "avx512") {
    caps = {.avx2 = caps.avx2, .avx512 = caps.avx512};
  } else if (limit == "avx2") {
    caps = {.avx2 = caps.avx2};
  } else if (limit == "scalar") {
    caps = {};
  } else {
    throw Error(ErrorKind::Usage,
                "MANTISSA_CPU: expected scalar, avx2, avx512, avx512vnni or "
                "amx, got '" +
                    limit + "'");
  }
  return caps;
}

const Caps& host_caps() {
  static const Caps caps = [] {
    const char* limit = std::getenv("MANTISSA_CPU");
    Caps out = limit_caps(machine_caps(), limit == nullptr ? "" : limit);
    if ((out.amx_int8 || out.amx_bf16) && !ask_for_tiles()) {
      out.amx_int8 = out.amx_bf16 = false;
      out.amx_refused = true;
    }
    return out;
  }();
  return caps;
}

const char* level_name(const Caps& caps) {
  if (caps.avx512) return "avx512";
  return caps.avx2 ? "avx2" : "scalar";
}

}  // namespace mantissa::kernels
