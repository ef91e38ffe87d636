#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

// What every format does with its fields: find and check them when a file is
// read, cut them, and say where a value is wrong.
namespace mantissa::fields {

/// The field of that name, null if the file has none.
const FieldLayout* find(std::span<const FieldLayout> fields,
                        std::string_view name);

/// Index in encoding.fields() of the field of that name; empty if it has none.
std::optional<std::size_t> index(const Encoding& encoding,
                                 std::string_view name);

/// The field of that name. Throws Error(Input) naming `owner` ("Int8Tensor")
/// and the field if there is none.
const FieldLayout& require(std::string_view owner,
                           std::span<const FieldLayout> fields,
                           std::string_view name);

/// Throws Error(Input) when the file's field is missing or differs from
/// `expected` in dtype or shape.
void check(std::string_view owner,
           std::span<const FieldLayout> fields,
           const FieldLayout& expected);

/// Throws Error(Input) when a field has none of these names.
void check_names(std::string_view owner,
                 std::span<const FieldLayout> fields,
                 std::initializer_list<std::string_view> names);

/// Throws Error(Usage) unless 0 <= dim < rank and 0 <= begin <= end <= extent.
void check_slice(std::string_view owner,
                 const Shape& shape,
                 std::int64_t dim,
                 std::int64_t begin,
                 std::int64_t end);

/// Throws Error(Usage) unless the shape has three dimensions and the index lies
/// in the first.
void check_select(std::string_view owner,
                  const Shape& shape,
                  std::int64_t index);

/// Throws Error(Usage) unless the block lies in a tensor of this shape, starts
/// at a multiple of `unit` rows and ends at one or at the end of its matrix.
void check_rows(std::string_view owner,
                const Shape& shape,
                const RowBlock& block,
                std::int64_t unit);

/// Rows [first, first + count) of `width` elements each, without gaps.
FieldRuns row_runs(DType dtype,
                   std::int64_t width,
                   std::int64_t first,
                   std::int64_t count);

/// Every byte of a field.
FieldRuns all_of(const FieldLayout& field);

/// The scales in another dtype. Throws Error(Input) naming `owner` and the
/// remedy when one of them is not exact in it; 2^-126, which torchao gives a
/// block of zeros, is 2^-24 in float16.
HostTensor exact_scales(std::string_view owner,
                        ConstTensorView scales,
                        DType dtype,
                        std::string_view remedy);

/// A dense copy.
HostTensor copied(ConstTensorView tensor);

/// {1, .., 1, group_size}: the block of groups along the last dimension.
Shape group_block(std::size_t rank, std::int64_t group_size);

/// "scale[3, 5]": the element of a field at a flat index.
std::string element_name(std::string_view field,
                         const Shape& shape,
                         std::int64_t index);

/// Empty when all values of a field are finite, else "scale[3, 5] is NaN or
/// infinite".
std::string describe_nonfinite(std::string_view field, ConstTensorView tensor);

}  // namespace mantissa::fields
