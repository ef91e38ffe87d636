#include "kernels/search_affine.h"

#include <algorithm>

#include "kernels/common/refusals.h"

namespace mantissa::kernels {
namespace {

constexpr const char* kOp = "search_affine";

constexpr SearchAffineKernel kCpu[] = {
    {"search_affine_avx512",
     needs_avx512<SearchAffineProblem>,
     run_search_affine_avx512},
    {"search_affine_avx2",
     needs_avx2<SearchAffineProblem>,
     run_search_affine_avx2},
    {"search_affine_ref",
     accepts_any<SearchAffineProblem>,
     run_search_affine_ref},
};

// Values of `lanes` rows side by side; lanes beyond them are left alone.
void put_lane(const float* row, std::int64_t count, int lane, float* panel) {
  for (std::int64_t i = 0; i < count; ++i)
    panel[i * kSearchLanes + lane] = row[i];
}

}  // namespace

std::span<const SearchAffineKernel> search_affine_kernels() { return kCpu; }

void search_affine(const SearchAffineKernel& kernel,
                   const SearchAffineProblem& problem,
                   const SearchAffineArgs& args) {
  const auto size = static_cast<std::size_t>(args.group * kSearchLanes);
  std::vector<float> x(size);
  std::vector<float> weights(args.weights == nullptr ? 0 : size);
  float scale[kSearchLanes];
  float zero[kSearchLanes];
  float error[kSearchLanes];
  std::fill_n(scale, kSearchLanes, 1.0f);
  std::fill_n(zero, kSearchLanes, 0.0f);
  for (std::int64_t first = 0; first < args.groups; first += kSearchLanes) {
    const auto lanes = static_cast<int>(
        std::min<std::int64_t>(kSearchLanes, args.groups - first));
    for (int lane = 0; lane < lanes; ++lane) {
      const std::int64_t g = first + lane;
      put_lane(args.x + g * args.group, args.group, lane, x.data());
      if (args.weights != nullptr) {
        put_lane(args.weights + g % args.period * args.group,
                 args.group,
                 lane,
                 weights.data());
      }
    }
    std::copy_n(args.scale + first, lanes, scale);
    std::copy_n(args.zero_point + first, lanes, zero);
    kernel.run(problem,
               {x.data(),
                args.weights == nullptr ? nullptr : weights.data(),
                args.group,
                scale,
                zero,
                error});
    std::copy_n(scale, lanes, args.scale + first);
    std::copy_n(zero, lanes, args.zero_point + first);
    std::copy_n(error, lanes, args.error + first);
  }
}

void search_affine(const SearchAffineProblem& problem,
                   const SearchAffineArgs& args) {
  search_affine(select(kOp, search_affine_kernels(), problem, host_caps()),
                problem,
                args);
}

void list_search_affine(const Caps& caps, std::vector<KernelInfo>& out) {
  list_kernels(kOp, search_affine_kernels(), SearchAffineProblem{}, caps, out);
}

}  // namespace mantissa::kernels
