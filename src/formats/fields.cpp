#include "formats/fields.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/affine.h>
#include <mantissa/primitives/convert.h>

#include "primitives/elements.h"

namespace mantissa::fields {
namespace {

std::string described(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", name(dtype), to_string(shape));
}

}  // namespace

const FieldLayout* find(std::span<const FieldLayout> fields,
                        std::string_view name) {
  for (const FieldLayout& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

std::optional<std::size_t> index(const Encoding& encoding,
                                 std::string_view name) {
  const std::vector<FieldLayout> fields = encoding.fields();
  const FieldLayout* field = find(fields, name);
  if (field == nullptr) return std::nullopt;
  return static_cast<std::size_t>(field - fields.data());
}

const FieldLayout& require(std::string_view owner,
                           std::span<const FieldLayout> fields,
                           std::string_view name) {
  const FieldLayout* field = find(fields, name);
  if (field != nullptr) return *field;
  throw Error(ErrorKind::Input,
              fmt::format("{}: field '{}' is missing", owner, name));
}

void check(std::string_view owner,
           std::span<const FieldLayout> fields,
           const FieldLayout& expected) {
  const FieldLayout& found = require(owner, fields, expected.name);
  if (found.dtype == expected.dtype && found.shape == expected.shape) return;
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}: expected {}, got {}",
                          owner,
                          expected.name,
                          described(expected.dtype, expected.shape),
                          described(found.dtype, found.shape)));
}

void check_names(std::string_view owner,
                 std::span<const FieldLayout> fields,
                 std::initializer_list<std::string_view> names) {
  for (const FieldLayout& field : fields) {
    if (std::find(names.begin(), names.end(), field.name) != names.end()) {
      continue;
    }
    throw Error(ErrorKind::Input,
                fmt::format("{}: unknown field '{}', expected {}",
                            owner,
                            field.name,
                            fmt::join(names, ", ")));
  }
}

void check_slice(std::string_view owner,
                 const Shape& shape,
                 std::int64_t dim,
                 std::int64_t begin,
                 std::int64_t end) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  if (dim < 0 || dim >= rank) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: slice: dim: expected 0 to {} for shape {}, got {}",
                    owner,
                    rank - 1,
                    to_string(shape),
                    dim));
  }
  const std::int64_t extent = shape[static_cast<std::size_t>(dim)];
  if (begin < 0 || begin > end || end > extent) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: slice: expected 0 <= begin <= end <= {} in "
                            "dimension {} of {}, got [{}, {})",
                            owner,
                            extent,
                            dim,
                            to_string(shape),
                            begin,
                            end));
  }
}

void check_select(std::string_view owner,
                  const Shape& shape,
                  std::int64_t index) {
  if (shape.size() != 3) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: select: expected a 3-D tensor, got shape {}; use "
                    "slice",
                    owner,
                    to_string(shape)));
  }
  if (index < 0 || index >= shape[0]) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: select: index: expected 0 to {}, got {}",
                            owner,
                            shape[0] - 1,
                            index));
  }
}

void check_rows(std::string_view owner,
                const Shape& shape,
                const RowBlock& block,
                std::int64_t unit) {
  const MatrixShape all = matrix_shape(shape);
  const std::int64_t end = block.row + block.rows;
  const bool inside = block.matrix >= 0 && block.matrix < all.matrices &&
                      block.row >= 0 && block.rows > 0 && end <= all.rows;
  if (inside && block.row % unit == 0 && (end % unit == 0 || end == all.rows)) {
    return;
  }
  throw Error(ErrorKind::Usage,
              fmt::format("{}: rows: [{}, {}) of matrix {} of {}: expected "
                          "multiples of {} inside it",
                          owner,
                          block.row,
                          end,
                          block.matrix,
                          to_string(shape),
                          unit));
}

FieldRuns row_runs(DType dtype,
                   std::int64_t width,
                   std::int64_t first,
                   std::int64_t count) {
  const std::int64_t bytes = byte_count(dtype, {width});
  return {first * bytes, count * bytes};
}

FieldRuns all_of(const FieldLayout& field) {
  return {0, byte_count(field.dtype, field.shape)};
}

HostTensor exact_scales(std::string_view owner,
                        ConstTensorView scales,
                        DType dtype,
                        std::string_view remedy) {
  const HostTensor out(dtype, scales.shape);
  const std::int64_t count = scales.numel();
  for (std::int64_t i = 0; i < count; ++i) {
    auto scale = static_cast<float>(load_element(scales, i));
    if (scale == 0x1p-126f && dtype == DType::Float16) scale = 0x1p-24f;
    if (round_to(dtype, scale) != scale) {
      throw Error(ErrorKind::Input,
                  fmt::format("{}: a scale of {} is not exact in {}; {}",
                              owner,
                              scale,
                              name(dtype),
                              remedy));
    }
    store_element(out, i, scale);
  }
  return out;
}

HostTensor copied(ConstTensorView tensor) {
  HostTensor out = HostTensor::uninitialized(tensor.dtype, tensor.shape);
  if (out.nbytes() > 0) {
    std::memcpy(
        out.data(), tensor.data, static_cast<std::size_t>(out.nbytes()));
  }
  return out;
}

Shape group_block(std::size_t rank, std::int64_t group_size) {
  Shape block(rank, 1);
  if (rank > 0) block.back() = group_size;
  return block;
}

std::string element_name(std::string_view field,
                         const Shape& shape,
                         std::int64_t index) {
  Shape at(shape.size());
  for (std::size_t dim = shape.size(); dim-- > 0;) {
    at[dim] = index % shape[dim];
    index /= shape[dim];
  }
  return std::string(field) + to_string(at);
}

std::string describe_nonfinite(std::string_view field, ConstTensorView tensor) {
  const auto index = find_nonfinite(tensor);
  if (!index) return {};
  return element_name(field, tensor.shape, *index) + " is NaN or infinite";
}

}  // namespace mantissa::fields
