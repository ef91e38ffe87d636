#include "kernels/quantize_float8.h"

#include <mantissa/primitives/float8.h>

#include "kernels/common/refusals.h"
#include "kernels/cpu/quantize_float8.h"

namespace mantissa::kernels {
namespace {

template <class T>
using QuantizeRuns = void (*)(const T*,
                              const float*,
                              std::int64_t,
                              std::int64_t,
                              Float8Bits,
                              std::uint8_t*);

// What one instruction set offers.
struct VectorKernels {
  QuantizeRuns<std::uint16_t> bf16;
  QuantizeRuns<std::uint16_t> f16;
  QuantizeRuns<float> f32;
};

Float8Bits float8_bits(DType dtype) {
  Float8Bits bits{};
  dispatch_float8(dtype, [&]<class Format>() {
    bits = {Format::kMantissaWidth,
            Format::kExponentBias,
            Format::decode(Format::kMaxCode),
            Format::kSpecialCodes == MiniFloatSpecials::Fnuz
                ? std::uint8_t{0x80}
                : std::uint8_t{0x7f}};
  });
  return bits;
}

void run_vectors(const VectorKernels& kernels,
                 const QuantizeFloat8Problem& problem,
                 const QuantizeFloat8Args& args) {
  const Float8Bits bits = float8_bits(problem.float8_dtype);
  const auto* halves = reinterpret_cast<const std::uint16_t*>(args.x);
  if (problem.dtype == DType::BFloat16) {
    kernels.bf16(halves, args.scale, args.run, args.runs, bits, args.out);
  } else if (problem.dtype == DType::Float16) {
    kernels.f16(halves, args.scale, args.run, args.runs, bits, args.out);
  } else {
    kernels.f32(reinterpret_cast<const float*>(args.x),
                args.scale,
                args.run,
                args.runs,
                bits,
                args.out);
  }
}

void run_avx2(const QuantizeFloat8Problem& problem,
              const QuantizeFloat8Args& args) {
  constexpr VectorKernels kKernels = {quantize_float8_bf16_avx2,
                                      quantize_float8_f16_avx2,
                                      quantize_float8_f32_avx2};
  run_vectors(kKernels, problem, args);
}

void run_avx512(const QuantizeFloat8Problem& problem,
                const QuantizeFloat8Args& args) {
  constexpr VectorKernels kKernels = {quantize_float8_bf16_avx512,
                                      quantize_float8_f16_avx512,
                                      quantize_float8_f32_avx512};
  run_vectors(kKernels, problem, args);
}

constexpr QuantizeFloat8Kernel kQuantizeFloat8[] = {
    {"quantize_float8_avx512", needs_avx512, run_avx512},
    {"quantize_float8_avx2", needs_avx2, run_avx2},
    {"quantize_float8_ref", accepts_any, run_quantize_float8_ref},
};

}  // namespace

std::span<const QuantizeFloat8Kernel> quantize_float8_kernels() {
  return kQuantizeFloat8;
}

void list_quantize_float8(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels("quantize_float8",
               quantize_float8_kernels(),
               QuantizeFloat8Problem{},
               caps,
               out);
}

void quantize_float8(const QuantizeFloat8Problem& problem,
                     const QuantizeFloat8Args& args) {
  select("quantize_float8", quantize_float8_kernels(), problem, host_caps())
      .run(problem, args);
}

}  // namespace mantissa::kernels
