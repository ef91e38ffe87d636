#include "kernels/convert.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "kernels/cpu/convert.h"

namespace mantissa::kernels {
namespace {

constexpr std::int64_t kChunk = 1024;  // elements between two loops, in L1

using Widen = void (*)(const std::uint16_t*, float*, std::int64_t);
using Narrow = void (*)(const float*, std::uint16_t*, std::int64_t);

// What one instruction set offers; `step` elements at a time.
struct VectorCasts {
  Widen bf16_to_f32;
  Widen f16_to_f32;
  Narrow f32_to_bf16;
  Narrow f32_to_f16;
  std::int64_t step;
};

bool is_fast(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::BFloat16 ||
         dtype == DType::Float16;
}

Widen widen_of(const VectorCasts& casts, DType from) {
  return from == DType::BFloat16 ? casts.bf16_to_f32 : casts.f16_to_f32;
}

Narrow narrow_of(const VectorCasts& casts, DType to) {
  return to == DType::BFloat16 ? casts.f32_to_bf16 : casts.f32_to_f16;
}

void run_vectors(const VectorCasts& casts,
                 const ConvertProblem& problem,
                 const ConvertArgs& args) {
  const std::int64_t count = args.count / casts.step * casts.step;
  const auto* from16 = reinterpret_cast<const std::uint16_t*>(args.from);
  auto* to16 = reinterpret_cast<std::uint16_t*>(args.to);
  if (problem.to == DType::Float32) {
    widen_of(casts, problem.from)(
        from16, reinterpret_cast<float*>(args.to), count);
  } else if (problem.from == DType::Float32) {
    narrow_of(casts, problem.to)(
        reinterpret_cast<const float*>(args.from), to16, count);
  } else {
    std::array<float, kChunk> chunk;
    for (std::int64_t i = 0; i < count; i += kChunk) {
      const std::int64_t n = std::min(kChunk, count - i);
      widen_of(casts, problem.from)(from16 + i, chunk.data(), n);
      narrow_of(casts, problem.to)(chunk.data(), to16 + i, n);
    }
  }
  run_convert_ref(problem,
                  {args.from + byte_count(problem.from, {count}),
                   args.to + byte_count(problem.to, {count}),
                   args.count - count});
}

const char* refuses_pair(const ConvertProblem& problem) {
  if (problem.from != problem.to && is_fast(problem.from) &&
      is_fast(problem.to)) {
    return nullptr;
  }
  return "only between float32, bfloat16 and float16";
}

const char* accepts_any(const ConvertProblem&, const Caps&) { return nullptr; }

const char* accepts_any_dtype(const FindNonfiniteProblem&, const Caps&) {
  return nullptr;
}

const char* refuses_avx2(const ConvertProblem& problem, const Caps& caps) {
  return caps.avx2 ? refuses_pair(problem) : "needs AVX2";
}

void run_avx2(const ConvertProblem& problem, const ConvertArgs& args) {
  constexpr VectorCasts kCasts = {
      bf16_to_f32_avx2, f16_to_f32_avx2, f32_to_bf16_avx2, f32_to_f16_avx2, 8};
  run_vectors(kCasts, problem, args);
}

const char* refuses_avx512(const ConvertProblem& problem, const Caps& caps) {
  return caps.avx512 ? refuses_pair(problem) : "needs AVX-512";
}

void run_avx512(const ConvertProblem& problem, const ConvertArgs& args) {
  constexpr VectorCasts kCasts = {bf16_to_f32_avx512,
                                  f16_to_f32_avx512,
                                  f32_to_bf16_avx512,
                                  f32_to_f16_avx512,
                                  16};
  run_vectors(kCasts, problem, args);
}

const char* refuses_find_avx2(const FindNonfiniteProblem& problem,
                              const Caps& caps) {
  if (!caps.avx2) return "needs AVX2";
  return is_fast(problem.dtype) ? nullptr
                                : "only float32, bfloat16 and float16";
}

std::int64_t run_find_avx2(const FindNonfiniteProblem& problem,
                           const FindNonfiniteArgs& args) {
  const std::int64_t done =
      problem.dtype == DType::Float32
          ? finite_prefix_32_avx2(args.data, args.count, 0x7f800000)
          : finite_prefix_16_avx2(
                args.data,
                args.count,
                problem.dtype == DType::BFloat16 ? 0x7f80 : 0x7c00);
  return done +
         run_find_nonfinite_ref(problem,
                                {args.data + byte_count(problem.dtype, {done}),
                                 args.count - done});
}

constexpr ConvertKernel kConvert[] = {
    {"convert_avx512", refuses_avx512, run_avx512},
    {"convert_avx2", refuses_avx2, run_avx2},
    {"convert_ref", accepts_any, run_convert_ref},
};

constexpr FindNonfiniteKernel kFindNonfinite[] = {
    {"find_nonfinite_avx2", refuses_find_avx2, run_find_avx2},
    {"find_nonfinite_ref", accepts_any_dtype, run_find_nonfinite_ref},
};

}  // namespace

std::span<const ConvertKernel> convert_kernels() { return kConvert; }

void list_convert(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels("convert", convert_kernels(), ConvertProblem{}, caps, out);
}

std::span<const FindNonfiniteKernel> find_nonfinite_kernels() {
  return kFindNonfinite;
}

void list_find_nonfinite(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels("find_nonfinite",
               find_nonfinite_kernels(),
               FindNonfiniteProblem{},
               caps,
               out);
}

}  // namespace mantissa::kernels

namespace mantissa {

void convert(ConstTensorView from, TensorView to) {
  if (from.shape != to.shape) {
    throw Error(ErrorKind::Usage,
                "convert: to: expected shape " + to_string(from.shape) +
                    ", got " + to_string(to.shape));
  }
  if (!kernels::can_convert_from(from.dtype) ||
      !kernels::can_convert_to(to.dtype)) {
    throw Error(ErrorKind::Usage,
                "convert: no conversion from " + std::string(name(from.dtype)) +
                    " to " + std::string(name(to.dtype)) +
                    "; expected a real number type to a floating type");
  }
  if (from.dtype == to.dtype) {
    const auto bytes = from.bytes();
    if (!bytes.empty()) std::memmove(to.data, bytes.data(), bytes.size());
    return;
  }
  const kernels::ConvertProblem problem{from.dtype, to.dtype};
  const kernels::ConvertKernel& kernel = kernels::select(
      "convert", kernels::convert_kernels(), problem, kernels::host_caps());
  kernel.run(problem, {from.data, to.data, from.numel()});
}

HostTensor converted(ConstTensorView from, DType dtype) {
  HostTensor to = HostTensor::uninitialized(dtype, from.shape);
  convert(from, to.mutable_view());
  return to;
}

std::optional<std::int64_t> find_nonfinite(ConstTensorView tensor) {
  if (!is_floating_point(tensor.dtype)) {
    if (!kernels::can_convert_from(tensor.dtype)) {
      throw Error(ErrorKind::Usage,
                  "find_nonfinite: expected a real number type, got " +
                      std::string(name(tensor.dtype)));
    }
    return std::nullopt;
  }
  const kernels::FindNonfiniteProblem problem{tensor.dtype};
  const kernels::FindNonfiniteKernel& kernel =
      kernels::select("find_nonfinite",
                      kernels::find_nonfinite_kernels(),
                      problem,
                      kernels::host_caps());
  const std::int64_t count = tensor.numel();
  const std::int64_t index = kernel.run(problem, {tensor.data, count});
  if (index == count) return std::nullopt;
  return index;
}

}  // namespace mantissa
