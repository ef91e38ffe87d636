#include "configs/rules.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>

namespace mantissa::rules {
namespace {

constexpr std::int64_t kCommonSizes[] = {16, 32, 64, 128, 256, 512, 1024};
constexpr std::int64_t kInt4Sizes[] = {32, 64, 128, 256};
constexpr std::size_t kSuggested = 2;

constexpr std::string_view kKeep =
    "keep it with --ignore, or choose a config with one scale per row such as "
    "int8_weight_only";

// How far apart two group sizes are, as a ratio of at least 1.
double distance(std::int64_t a, std::int64_t b) {
  return static_cast<double>(std::max(a, b)) /
         static_cast<double>(std::min(a, b));
}

std::string group_remedy(std::int64_t columns,
                         std::int64_t group_size,
                         std::span<const std::int64_t> sizes) {
  std::vector<std::int64_t> fitting;
  for (const std::int64_t size : sizes) {
    if (columns % size == 0) fitting.push_back(size);
  }
  std::stable_sort(fitting.begin(), fitting.end(), [&](auto a, auto b) {
    return distance(a, group_size) < distance(b, group_size);
  });
  if (fitting.size() > kSuggested) fitting.resize(kSuggested);
  if (fitting.empty()) return std::string(kKeep);
  return fmt::format("use --group-size {}", fmt::join(fitting, " or "));
}

void check_int8_side(std::string_view type,
                     std::string_view side,
                     const Granularity& granularity) {
  if (std::holds_alternative<PerTensor>(granularity)) return;
  const auto* row = std::get_if<PerRow>(&granularity);
  if (row != nullptr && (side == "weight" || row->dim == -1)) return;
  throw_field(type,
              "granularity",
              side == "weight" ? "PerTensor or PerRow for the weight"
                               : "PerTensor or PerRow(-1) for the activation",
              to_string(granularity));
}

}  // namespace

void throw_field(std::string_view type,
                 std::string_view field,
                 std::string_view expected,
                 std::string_view got,
                 std::string_view remedy) {
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: expected {}, got {}{}{}",
                          type,
                          field,
                          expected,
                          got,
                          remedy.empty() ? "" : "; ",
                          remedy));
}

void check_int8_sides(std::string_view type,
                      const GranularityPair& sides,
                      const std::optional<EnumField<MappingType>>& mapping) {
  check_int8_side(type, "activation", sides.activation);
  check_int8_side(type, "weight", sides.weight);
  if (mapping && *mapping != MappingType::SymmetricNoClippingErr) return;
  throw_field(type,
              "act_mapping_type",
              "SYMMETRIC or ASYMMETRIC",
              mapping ? spelling(mapping->value).member : "None");
}

void check_group_size(std::string_view type,
                      std::string_view field,
                      std::int64_t group_size) {
  if (group_size >= 1) return;
  throw_field(type, field, "at least 1", std::to_string(group_size));
}

void check_float8(std::string_view type, std::string_view field, DType dtype) {
  if (dtype == DType::Float8E4M3FN || dtype == DType::Float8E5M2 ||
      dtype == DType::Float8E4M3FNUZ || dtype == DType::Float8E5M2FNUZ) {
    return;
  }
  throw_field(type, field, "a float8 dtype such as float8_e4m3fn", name(dtype));
}

void check_group_or_axis(std::string_view type,
                         std::string_view field,
                         const Granularity& granularity) {
  if (const auto* group = std::get_if<PerGroup>(&granularity)) {
    check_group_size(type, field, group->group_size);
    return;
  }
  if (granularity == Granularity(PerAxis{0})) return;
  throw_field(type, field, "PerGroup or PerAxis(0)", to_string(granularity));
}

void check_tensor_row_group(std::string_view type,
                            std::string_view field,
                            const std::optional<Granularity>& granularity) {
  if (granularity) {
    if (const auto* group = std::get_if<PerGroup>(&*granularity)) {
      check_group_size(type, field, group->group_size);
      return;
    }
    if (std::holds_alternative<PerTensor>(*granularity) ||
        std::holds_alternative<PerRow>(*granularity)) {
      return;
    }
  }
  throw_field(type,
              field,
              "PerTensor, PerRow or PerGroup",
              granularity ? to_string(*granularity) : "None");
}

Refusal refuse_group(std::int64_t columns,
                     std::int64_t group_size,
                     std::span<const std::int64_t> sizes) {
  if (columns % group_size == 0) return std::nullopt;
  return WeightChoice{
      nullptr,
      fmt::format(
          "K = {} is not a multiple of group_size {}", columns, group_size),
      group_remedy(columns, group_size, sizes)};
}

Refusal refuse_granularity(std::int64_t columns,
                           const Granularity& granularity) {
  const auto* group = std::get_if<PerGroup>(&granularity);
  if (group == nullptr) return std::nullopt;
  return refuse_group(columns, group->group_size, kCommonSizes);
}

Refusal refuse_odd(std::int64_t columns) {
  if (columns % 2 == 0) return std::nullopt;
  return WeightChoice{
      nullptr,
      fmt::format("K = {} is odd, and two codes share a byte", columns),
      std::string(kKeep)};
}

Refusal refuse_rank(std::string_view type, const Shape& shape, int max_rank) {
  const auto rank = static_cast<int>(shape.size());
  if (rank >= 2 && rank <= max_rank) return std::nullopt;
  return WeightChoice{
      nullptr,
      fmt::format("{} takes weights {}, got {}",
                  type,
                  max_rank == 2 ? "[N, K]" : "[N, K] or [E, N, K]",
                  to_string(shape)),
      rank == 3   ? "keep it with --ignore, or choose a config "
                    "for expert weights such as int8_weight_only"
      : rank == 4 ? "keep it with --ignore, or choose intx_weight_only, which "
                    "takes the weight [N, C, H, W] of a Conv2d (AFFINE)"
      : rank == 5 ? "keep it with --ignore; of convolutions, intx_weight_only "
                    "takes the weight [N, C, H, W] of a Conv2d (AFFINE)"
                  : "keep it with --ignore"};
}

Refusal refuse_dtype(std::string_view type,
                     DType dtype,
                     std::initializer_list<DType> allowed) {
  if (std::find(allowed.begin(), allowed.end(), dtype) != allowed.end()) {
    return std::nullopt;
  }
  std::vector<std::string_view> names;
  for (const DType one : allowed) names.push_back(name(one));
  return WeightChoice{nullptr,
                      fmt::format("{} takes {} weights, got {}",
                                  type,
                                  fmt::join(names, ", "),
                                  name(dtype)),
                      fmt::format("use --dtype {}", names.front())};
}

Refusal refuse_dtype(std::string_view type, DType dtype) {
  return refuse_dtype(
      type, dtype, {DType::BFloat16, DType::Float16, DType::Float32});
}

std::span<const std::int64_t> common_group_sizes() { return kCommonSizes; }

std::span<const std::int64_t> int4_group_sizes() { return kInt4Sizes; }

}  // namespace mantissa::rules
