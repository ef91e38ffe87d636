#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <mantissa/configs/config.h>
#include <mantissa/configs/field_types.h>
#include <mantissa/core/granularity.h>

namespace mantissa::rules {

// What configs ask of their fields and of a weight. Field rules throw; rules on
// a weight return the refusal, or nothing.

using Refusal = std::optional<WeightChoice>;

/// Throws Error(Usage): "TYPE: FIELD: expected EXPECTED, got GOT[; REMEDY]".
[[noreturn]] void throw_field(std::string_view type,
                              std::string_view field,
                              std::string_view expected,
                              std::string_view got,
                              std::string_view remedy = "");

/// A group size of at least 1.
void check_group_size(std::string_view type,
                      std::string_view field,
                      std::int64_t group_size);

/// A float8 dtype.
void check_float8(std::string_view type, std::string_view field, DType dtype);

/// PerGroup of at least 1, or PerAxis(0): what the integer configs take.
void check_group_or_axis(std::string_view type,
                         std::string_view field,
                         const Granularity& granularity);

/// PerTensor, PerRow or PerGroup.
void check_tensor_row_group(std::string_view type,
                            std::string_view field,
                            const std::optional<Granularity>& granularity);

/// Int8 activations and weights: PerTensor or PerRow (of activations
/// PerRow(-1)), a mapping that is SYMMETRIC or ASYMMETRIC.
void check_int8_sides(std::string_view type,
                      const GranularityPair& sides,
                      const std::optional<EnumField<MappingType>>& mapping);

/// "K = 576 is not a multiple of group_size 128", with the nearest group sizes
/// among `sizes` that divide K.
Refusal refuse_group(std::int64_t columns,
                     std::int64_t group_size,
                     std::span<const std::int64_t> sizes);

/// The same for a PerGroup granularity; others fit.
Refusal refuse_granularity(std::int64_t columns,
                           const Granularity& granularity);

/// An odd K, where two codes share a byte.
Refusal refuse_odd(std::int64_t columns);

/// A weight that is not [N, K], nor [E, N, K] if `max_rank` is 3.
Refusal refuse_rank(std::string_view type, const Shape& shape, int max_rank);

/// A weight whose dtype is not among `allowed`.
Refusal refuse_dtype(std::string_view type,
                     DType dtype,
                     std::initializer_list<DType> allowed);

/// float32, bfloat16 and float16, which most formats take.
Refusal refuse_dtype(std::string_view type, DType dtype);

/// Group sizes to suggest where any divisor of K will do.
std::span<const std::int64_t> common_group_sizes();

/// Group sizes of the int4 kernels.
std::span<const std::int64_t> int4_group_sizes();

}  // namespace mantissa::rules
