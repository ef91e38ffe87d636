#include <mantissa/primitives/hqq.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/convert.h>

#include "primitives/argument_checks.h"
#include "primitives/elements.h"
#include "primitives/hqq_solver.h"

namespace mantissa {
namespace {

constexpr const char* kOp = "choose_qparams_and_quantize_affine_hqq";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", kOp, what));
}

void check(ConstTensorView input, const HqqArgs& args) {
  check_float_dtype(kOp, "input", input.dtype);
  check_float_dtype(kOp, "compute_dtype", args.compute_dtype);
  if (args.nbits < 1 || args.nbits > 8) {
    refuse(fmt::format("nbits: expected 1 to 8, got {}", args.nbits));
  }
  if (args.axis != 0 && args.axis != 1) {
    refuse(fmt::format("axis: expected 0 or 1, got {}", args.axis));
  }
  if (args.iterations < 0) {
    refuse(
        fmt::format("iterations: expected 0 or more, got {}", args.iterations));
  }
  const std::int64_t count = input.numel();
  if (args.group_size < 1 || count == 0 || count % args.group_size != 0) {
    refuse(
        fmt::format("group_size: expected a divisor of the {} elements of "
                    "{}, got {}",
                    count,
                    to_string(input.shape),
                    args.group_size));
  }
  const std::int64_t groups = count / args.group_size;
  const std::int64_t kept = input.shape.empty() ? 1
                            : args.axis == 1    ? input.shape.front()
                                                : input.shape.back();
  if (args.form == HqqForm::Raw && groups % kept != 0) {
    refuse(fmt::format("group_size: {} groups do not fill the raw form's {} {}",
                       groups,
                       kept,
                       args.axis == 1 ? "rows" : "columns"));
  }
}

// The groups of the tensor as contiguous float32, group after group.
std::vector<float> gathered(ConstTensorView input, const HqqArgs& args) {
  const HostTensor wide = converted(input, DType::Float32);
  const float* from = wide.as<float>();
  const std::int64_t count = wide.numel();
  std::vector<float> out(from, from + count);
  if (args.axis == 1) return out;
  const std::int64_t groups = count / args.group_size;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t group = i % groups;
    const std::int64_t place = i / groups;
    out[static_cast<std::size_t>(group * args.group_size + place)] = from[i];
  }
  return out;
}

class Problem {
 public:
  Problem(ConstTensorView input, const HqqArgs& args)
      : args_(args),
        max_code_(static_cast<float>((1 << args.nbits) - 1)),
        weights_(gathered(input, args)),
        groups_(weights_.size() / static_cast<std::size_t>(args.group_size)) {}

  void solve();
  HqqResult finish(ConstTensorView input);

 private:
  std::span<const float> group(std::size_t index) const {
    const auto size = static_cast<std::size_t>(args_.group_size);
    return {weights_.data() + index * size, size};
  }
  void guard(std::size_t index);

  HqqArgs args_;
  float max_code_;
  std::vector<float> weights_;
  std::vector<HqqGroup> groups_;
};

void Problem::solve() {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const auto [min, max] = std::ranges::minmax(group(g));
    groups_[g] = hqq_start(min, max, args_.nbits);
  }
  const HqqSumOrder order =
      args_.axis == 1 ? HqqSumOrder::Inner : HqqSumOrder::Outer;
  std::vector<float> work;
  HqqBeta beta;
  HqqSchedule schedule(args_.iterations);
  while (schedule.running()) {
    double error = 0.0;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      error += hqq_step(group(g),
                        max_code_,
                        beta.inverse(),
                        order,
                        groups_[g],
                        work)
                   .error;
    }
    beta.grow();
    schedule.finish_iteration(error,
                              static_cast<std::int64_t>(weights_.size()));
  }
  if (args_.iterations == 0) {
    for (HqqGroup& group : groups_) {
      group.scale = round_to(args_.compute_dtype, group.scale);
      group.zero = round_to(args_.compute_dtype, group.zero);
    }
  }
}

// A group is as good as constant when its zero point overflows: see hqq.h.
void Problem::guard(std::size_t index) {
  HqqGroup& found = groups_[index];
  const float kept = args_.form == HqqForm::Raw
                         ? round_to(args_.compute_dtype, found.zero)
                         : found.zero;
  if (std::isfinite(kept)) return;
  found = {1.0f, -std::ranges::min(group(index))};
}

Shape parameter_shape(const Shape& input, const HqqArgs& args, std::int64_t n) {
  if (args.form == HqqForm::Tinygemm) {
    return args.axis == 1 ? Shape{n, 1} : Shape{1, n};
  }
  if (input.empty()) return {1, n};
  return args.axis == 1 ? Shape{input.front(), n / input.front()}
                        : Shape{n / input.back(), input.back()};
}

HqqResult Problem::finish(ConstTensorView input) {
  const auto count = static_cast<std::int64_t>(groups_.size());
  const Shape shape = parameter_shape(input.shape, args_, count);
  HqqResult out{HostTensor(DType::UInt8, input.shape),
                HostTensor(args_.compute_dtype, shape),
                HostTensor(args_.compute_dtype, shape)};
  // Without the solver torch stays in compute_dtype to the end.
  const DType dtype =
      args_.iterations == 0 ? args_.compute_dtype : DType::Float32;
  const auto mid = static_cast<float>(1 << (args_.nbits - 1));
  std::vector<float> codes(static_cast<std::size_t>(args_.group_size));
  for (std::int64_t g = 0; g < count; ++g) {
    const auto index = static_cast<std::size_t>(g);
    guard(index);
    const HqqGroup& found = groups_[index];
    hqq_codes(group(index), found, max_code_, codes.data());
    for (std::int64_t i = 0; i < args_.group_size; ++i) {
      const std::int64_t at =
          args_.axis == 1 ? g * args_.group_size + i : i * count + g;
      out.codes.as<std::uint8_t>()[at] =
          static_cast<std::uint8_t>(codes[static_cast<std::size_t>(i)]);
    }
    const float scale = round_to(dtype, 1.0f / found.scale);
    const float zero = args_.form == HqqForm::Raw
                           ? found.zero
                           : round_to(dtype, (mid - found.zero) * scale);
    store_element(out.scale, g, scale);
    store_element(out.zero_point, g, zero);
  }
  return out;
}

}  // namespace

HqqResult choose_qparams_and_quantize_affine_hqq(ConstTensorView input,
                                                 const HqqArgs& args) {
  check(input, args);
  Problem problem(input, args);
  problem.solve();
  return problem.finish(input);
}

}  // namespace mantissa
