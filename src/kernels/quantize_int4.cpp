#include "kernels/quantize_int4.h"

#include <algorithm>

#include <mantissa/primitives/float_casts.h>

#include "kernels/common/element_dtype.h"
#include "kernels/group_minmax_args.h"
#include "kernels/quantize_int4_steps.h"
#include "primitives/int4_groupwise.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kChunk = 64;      // groups whose parameters stay on the
                                         // stack between the two loops
constexpr float kMinNormal = 0x1p-126f;  // of bfloat16 and float32
constexpr float kMinNormalF16 = 0x1p-14f;

Int4Group tinygemm(DType dtype, float min, float max) {
  const TinygemmRange uint4;
  if (dtype == DType::BFloat16) {
    return tinygemm_group(min, max, kMinNormal, uint4, [](float x) {
      return bfloat16_to_float(float_to_bfloat16(x));
    });
  }
  if (dtype == DType::Float16) {
    return tinygemm_group(min, max, kMinNormalF16, uint4, [](float x) {
      return float16_to_float(float_to_float16(x));
    });
  }
  return tinygemm_group(min, max, kMinNormal, uint4, [](float x) { return x; });
}

Int4Group parameters(const QuantizeInt4Problem& problem, float min, float max) {
  switch (problem.rule) {
    case Int4Rule::Asymmetric:
      return int4_asymmetric_group(min, max);
    case Int4Rule::Symmetric:
      return int4_symmetric_group(min, max);
    case Int4Rule::Tinygemm:
      break;
  }
  return tinygemm(problem.dtype, min, max);
}

// What one instruction set brings: group_minmax, and the codes of each dtype.
struct StepsOf {
  void (*minmax)(Element, const GroupMinmaxArgs&);
  const QuantizeInt4Steps& bf16;
  const QuantizeInt4Steps& f16;
  const QuantizeInt4Steps& f32;

  const QuantizeInt4Steps& of(DType dtype) const {
    return dtype == DType::BFloat16  ? bf16
           : dtype == DType::Float16 ? f16
                                     : f32;
  }
};

void run(const QuantizeInt4Problem& problem,
         const QuantizeInt4Args& args,
         const StepsOf& set) {
  const QuantizeInt4Steps& steps = set.of(problem.dtype);
  const Element element = to_element(problem.dtype);
  const bool rounded = problem.rule == Int4Rule::Tinygemm;
  const float low = problem.rule == Int4Rule::Symmetric ? -8.0f : 0.0f;
  const std::int64_t group_bytes =
      problem.group_size * bit_width(problem.dtype) / 8;
  const auto* x = static_cast<const std::byte*>(args.x);
  float min[kChunk];
  float max[kChunk];
  for (std::int64_t done = 0; done < args.groups; done += kChunk) {
    const std::int64_t groups = std::min(kChunk, args.groups - done);
    const std::byte* from = x + done * group_bytes;
    set.minmax(element, {from, groups, problem.group_size, min, max});
    float* const offset = min;  // the parameters replace what they came from
    for (std::int64_t g = 0; g < groups; ++g) {
      const Int4Group group = parameters(problem, min[g], max[g]);
      args.scale[done + g] = group.scale;
      args.zero[done + g] = group.zero;
      offset[g] = group.offset;
    }
    (rounded ? steps.rounded_codes : steps.codes)(
        from,
        groups,
        problem.group_size,
        offset,
        args.scale + done,
        low,
        args.codes + done * problem.group_size);
  }
}

void run_avx512(const QuantizeInt4Problem& problem,
                const QuantizeInt4Args& args) {
  const StepsOf steps{run_group_minmax_avx512,
                      kQuantizeInt4StepsAvx512Bf16,
                      kQuantizeInt4StepsAvx512F16,
                      kQuantizeInt4StepsAvx512F32};
  run(problem, args, steps);
}

void run_avx2(const QuantizeInt4Problem& problem,
              const QuantizeInt4Args& args) {
  const StepsOf steps{run_group_minmax_avx2,
                      kQuantizeInt4StepsAvx2Bf16,
                      kQuantizeInt4StepsAvx2F16,
                      kQuantizeInt4StepsAvx2F32};
  run(problem, args, steps);
}

void run_ref(const QuantizeInt4Problem& problem, const QuantizeInt4Args& args) {
  const StepsOf steps{run_group_minmax_ref,
                      kQuantizeInt4StepsRefBf16,
                      kQuantizeInt4StepsRefF16,
                      kQuantizeInt4StepsRefF32};
  run(problem, args, steps);
}

const char* refuses_avx512(const QuantizeInt4Problem& problem,
                           const Caps& caps) {
  if (!caps.avx512) return "needs AVX-512";
  return problem.group_size % 16 == 0 ? nullptr
                                      : "group_size must be a multiple of 16";
}

const char* refuses_avx2(const QuantizeInt4Problem& problem, const Caps& caps) {
  if (!caps.avx2) return "needs AVX2";
  return problem.group_size % 8 == 0 ? nullptr
                                     : "group_size must be a multiple of 8";
}

const char* accepts_any(const QuantizeInt4Problem&, const Caps&) {
  return nullptr;
}

constexpr QuantizeInt4Kernel kKernels[] = {
    {"quantize_int4_avx512", refuses_avx512, run_avx512},
    {"quantize_int4_avx2", refuses_avx2, run_avx2},
    {"quantize_int4_ref", accepts_any, run_ref},
};

constexpr const char* kOp = "quantize_int4";

}  // namespace

std::span<const QuantizeInt4Kernel> quantize_int4_kernels() { return kKernels; }

const QuantizeInt4Kernel& select_quantize_int4(
    const QuantizeInt4Problem& problem) {
  return select(kOp, quantize_int4_kernels(), problem, host_caps());
}

void list_quantize_int4(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, quantize_int4_kernels(), QuantizeInt4Problem{}, caps, out);
}

}  // namespace mantissa::kernels
