#include <cstddef>
#include <cstring>

#include <mantissa/primitives/affine.h>

#include "kernels/common/element_dtype.h"
#include "kernels/dequantize_affine_args.h"

namespace mantissa::kernels {
namespace {

void store(Element type, void* out, std::int64_t i, float value) {
  auto* at = static_cast<std::byte*>(out) + i * element_bytes(type);
  if (type == Element::F32) {
    std::memcpy(at, &value, sizeof(value));
    return;
  }
  const std::uint16_t bits = type == Element::Bf16 ? float_to_bfloat16(value)
                                                   : float_to_float16(value);
  std::memcpy(at, &bits, sizeof(bits));
}

}  // namespace

void run_dequantize_affine_ref(Element out, const DequantizeAffineArgs& args) {
  const DType dtype = to_dtype(out);
  for (std::int64_t i = 0; i < args.groups * args.group; ++i) {
    const std::int64_t g = i / args.group;
    // promote(dtype, scale's dtype) is dtype or float32: one rounding.
    const float value = dequantize_affine_element(static_cast<float>(args.q[i]),
                                                  args.zero_point[g],
                                                  args.scale[g],
                                                  DType::Float32,
                                                  dtype);
    store(out, args.out, i, value);
  }
}

}  // namespace mantissa::kernels
