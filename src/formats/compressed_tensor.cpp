#include "formats/compressed_tensor.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "formats/code_packing.h"
#include "formats/dense_slice.h"
#include "formats/fields.h"
#include "kernels/dequantize_affine.h"
#include "primitives/elements.h"

namespace mantissa {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return b == 0 ? 0 : (a + b - 1) / b;
}

// `groups` runs of `width` float8 codes, times a scale each.
void decode_float8(const std::byte* codes,
                   std::int64_t groups,
                   std::int64_t width,
                   const float* scale,
                   TensorView to) {
  HostTensor values =
      converted({DType::Float8E4M3FN, to.shape, codes}, DType::Float32);
  auto* value = values.as<float>();
  for (std::int64_t g = 0; g < groups; ++g) {
    for (std::int64_t i = 0; i < width; ++i) *value++ *= scale[g];
  }
  convert(values.view(), to);
}

}  // namespace

CompressedEncoding::CompressedEncoding(Shape shape,
                                       DType dtype,
                                       CompressedSpec spec,
                                       std::shared_ptr<const Encoding> inner,
                                       Shape whole)
    : Encoding(std::move(shape), dtype),
      spec_(std::move(spec)),
      inner_(std::move(inner)),
      whole_(std::move(whole)) {}

CompressedFields CompressedEncoding::field_indices() const {
  CompressedFields out;
  std::size_t next = CompressedFields::kScale;
  if (!spec_.symmetric) out.zero_point = ++next;
  if (packed()) out.shape = ++next;
  out.inputs = ++next;
  return out;
}

IntegerRange CompressedEncoding::range() const {
  const std::int64_t half = std::int64_t{1} << (spec_.num_bits - 1);
  return {-half, half - 1};
}

std::int64_t CompressedEncoding::row_words() const {
  return packed_words(shape()[1], spec_.num_bits, spec_.layout);
}

std::int64_t CompressedEncoding::scale_rows() const {
  switch (spec_.strategy) {
    case CompressedStrategy::Tensor:
      return std::max<std::int64_t>(1, shape()[0]);
    case CompressedStrategy::Block:
      return spec_.block_rows;
    default:
      return 1;
  }
}

std::int64_t CompressedEncoding::scale_columns() const {
  switch (spec_.strategy) {
    case CompressedStrategy::Group:
      return spec_.group_size;
    case CompressedStrategy::Block:
      return spec_.block_columns;
    default:
      return shape()[1];
  }
}

std::int64_t CompressedEncoding::groups() const {
  const bool one = spec_.strategy == CompressedStrategy::Tensor ||
                   spec_.strategy == CompressedStrategy::Channel;
  return one ? 1 : ceil_div(shape()[1], scale_columns());
}

Shape CompressedEncoding::scale_shape() const {
  if (spec_.strategy == CompressedStrategy::Tensor) return {1};
  return {ceil_div(shape()[0], scale_rows()), groups()};
}

std::vector<FieldLayout> CompressedEncoding::fields() const {
  const Shape scale = scale_shape();
  if (packed()) {
    std::vector<FieldLayout> out = {
        {"weight_packed", DType::Int32, {shape()[0], row_words()}},
        {"weight_scale", scale_dtype(), scale}};
    if (!spec_.symmetric) {
      out.push_back(
          {"weight_zero_point",
           DType::Int32,
           {packed_words(shape()[0], spec_.num_bits, spec_.layout), groups()}});
    }
    out.push_back({"weight_shape", spec_.shape_dtype, {2}});
    out.insert(out.end(), spec_.input_fields.begin(), spec_.input_fields.end());
    return out;
  }
  std::vector<FieldLayout> out = {
      {"weight", spec_.floating ? DType::Float8E4M3FN : DType::Int8, shape()},
      {"weight_scale", scale_dtype(), scale}};
  if (!spec_.symmetric)
    out.push_back({"weight_zero_point", DType::Int8, scale});
  out.insert(out.end(), spec_.input_fields.begin(), spec_.input_fields.end());
  return out;
}

std::string CompressedEncoding::attributes_json() const {
  return compressed_scheme_json(spec_);
}

std::unique_ptr<Encoder> CompressedEncoding::make_encoder() const {
  if (spec_.layout == CodeLayout::Padded) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: encode: the padded layout of compressed-tensors "
                    "before 0.18 is read, not written",
                    format_name()));
  }
  if (!spec_.input_fields.empty()) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: encode: static activations need an "
                            "input_scale from a calibration; dynamic ones "
                            "find theirs in the call",
                            format_name()));
  }
  return inner_ == nullptr ? make_compressed_encoder(*this)
                           : make_repack_encoder(*this);
}

HostTensor CompressedEncoding::codes(
    std::span<const ConstTensorView> fields) const {
  if (!packed()) return fields::copied(fields[CompressedFields::kCodes]);
  HostTensor out = HostTensor::uninitialized(DType::Int8, shape());
  const auto* words = fields[CompressedFields::kCodes].as<std::uint32_t>();
  for (std::int64_t row = 0; row < shape()[0]; ++row) {
    unpack_codes({words + row * row_words()},
                 shape()[1],
                 spec_.num_bits,
                 spec_.layout,
                 {out.as<std::int8_t>() + row * shape()[1]});
  }
  return out;
}

HostTensor CompressedEncoding::zero_points(
    std::span<const ConstTensorView> fields) const {
  const std::size_t index = field_indices().zero_point;
  if (index == 0) return {DType::Int8, scale_shape()};
  if (!packed()) return fields::copied(fields[index]);
  HostTensor out(DType::Int8, {shape()[0], groups()});
  for (std::int64_t g = 0; g < groups(); ++g) {
    unpack_codes({fields[index].as<std::uint32_t>() + g, groups()},
                 shape()[0],
                 spec_.num_bits,
                 spec_.layout,
                 {out.as<std::int8_t>() + g, groups()});
  }
  return out;
}

HostTensor CompressedEncoding::decode(
    std::span<const ConstTensorView> fields) const {
  const HostTensor out = HostTensor::uninitialized(dtype(), shape());
  const HostTensor codes = this->codes(fields);
  const std::int64_t k = shape()[1];
  const std::int64_t item = bit_width(dtype()) / 8;
  if (out.numel() == 0) return out;
  const HostTensor scale =
      converted(fields[CompressedFields::kScale], DType::Float32);
  const HostTensor zero = converted(zero_points(fields).view(), DType::Float32);
  // Rows with scales of their own by as many as make 1 MiB of float32.
  constexpr std::int64_t kStepBytes = 1 << 20;
  const std::int64_t most =
      scale_rows() == 1 ? std::max<std::int64_t>(1, kStepBytes / (4 * k)) : 1;
  for (std::int64_t row = 0; row < shape()[0]; row += most) {
    const std::int64_t step = std::min(most, shape()[0] - row);
    const std::int64_t first = row / scale_rows() * groups();
    std::byte* to = out.data() + row * k * item;
    if (spec_.floating) {
      decode_float8(codes.data() + row * k,
                    step * groups(),
                    scale_columns(),
                    scale.as<float>() + first,
                    {dtype(), {step, k}, to});
    } else {
      kernels::dequantize_affine(dtype(),
                                 {codes.as<std::int8_t>() + row * k,
                                  step * groups(),
                                  scale_columns(),
                                  scale.as<float>() + first,
                                  zero.as<float>() + first,
                                  to});
    }
  }
  return out;
}

std::int64_t CompressedEncoding::row_unit() const {
  if (spec_.strategy == CompressedStrategy::Block) return spec_.block_rows;
  if (!packed() || spec_.symmetric) return 1;
  if (spec_.layout == CodeLayout::Dense) return kZeroPointRows;
  return 32 / spec_.num_bits;
}

EncodedRows CompressedEncoding::rows(const RowBlock& block) const {
  fields::check_rows(format_name(), shape(), block, row_unit());
  const auto part = std::make_shared<CompressedEncoding>(
      Shape{block.rows, shape()[1]}, dtype(), spec_, nullptr, whole_);
  EncodedRows out{part, {}};
  const std::vector<FieldLayout> layouts = fields();
  const std::vector<FieldLayout> parts = part->fields();
  const CompressedFields at = field_indices();
  const std::int64_t height =
      spec_.strategy == CompressedStrategy::Tensor ? 0 : scale_rows();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    std::int64_t first = block.row;
    const bool zero_point = i == at.zero_point && at.zero_point != 0;
    if ((i == at.shape && at.shape != 0) || i >= at.inputs) {
      first = 0;
    } else if (zero_point && packed()) {
      first = packed_words(block.row, spec_.num_bits, spec_.layout);
    } else if (zero_point || i == CompressedFields::kScale) {
      first = height == 0 ? 0 : block.row / height;
    }
    const std::int64_t width =
        layouts[i].shape.size() < 2 ? 1 : layouts[i].shape[1];
    out.fields.push_back(
        fields::row_runs(layouts[i].dtype, width, first, parts[i].shape[0]));
  }
  return out;
}

std::vector<HostTensor> CompressedEncoding::assemble(
    ConstTensorView codes,
    ConstTensorView scale,
    ConstTensorView zero_point) const {
  std::vector<HostTensor> out;
  for (const FieldLayout& field : fields())
    out.emplace_back(field.dtype, field.shape);
  const CompressedFields at = field_indices();
  std::copy_n(scale.data, scale.nbytes(), out[CompressedFields::kScale].data());
  if (!packed()) {
    std::copy_n(
        codes.data, codes.nbytes(), out[CompressedFields::kCodes].data());
    if (at.zero_point != 0) {
      std::copy_n(
          zero_point.data, zero_point.nbytes(), out[at.zero_point].data());
    }
    return out;
  }
  for (std::int64_t row = 0; row < shape()[0]; ++row) {
    pack_codes({codes.as<std::int8_t>() + row * shape()[1]},
               shape()[1],
               spec_.num_bits,
               {out[0].as<std::uint32_t>() + row * row_words()});
  }
  if (at.zero_point != 0) {
    const std::vector<std::uint32_t> words = pack_zero_points(
        zero_point.as<std::int8_t>(), shape()[0], groups(), spec_.num_bits);
    std::copy(
        words.begin(), words.end(), out[at.zero_point].as<std::uint32_t>());
  }
  out[at.shape] = weight_shape_field(shape(), spec_.shape_dtype);
  return out;
}

EncodedTensor CompressedEncoding::slice(std::span<const ConstTensorView> fields,
                                        std::int64_t dim,
                                        std::int64_t begin,
                                        std::int64_t end) const {
  fields::check_slice(format_name(), shape(), dim, begin, end);
  const std::int64_t unit = dim == 0 ? scale_rows() : scale_columns();
  const bool whole =
      dim == 0 ? spec_.strategy == CompressedStrategy::Tensor : groups() == 1;
  const std::int64_t extent = shape()[static_cast<std::size_t>(dim)];
  if (!whole && (begin % unit != 0 || (end % unit != 0 && end != extent))) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: slice: [{}, {}) of dimension {} cuts blocks of "
                    "{}; use multiples of {}",
                    format_name(),
                    begin,
                    end,
                    dim,
                    unit,
                    unit));
  }
  Shape cut = shape();
  cut[static_cast<std::size_t>(dim)] = end - begin;
  CompressedSpec spec = spec_;
  spec.layout = CodeLayout::Dense;
  const auto part =
      std::make_shared<CompressedEncoding>(cut, dtype(), spec, nullptr, cut);
  HostTensor scale = fields::copied(fields[CompressedFields::kScale]);
  HostTensor zero = zero_points(fields);
  if (!whole) {
    const std::int64_t last = ceil_div(end, unit);
    scale = slice_dense(scale.view(), dim, begin / unit, last);
    zero = slice_dense(zero.view(), dim, begin / unit, last);
  }
  EncodedTensor out{
      part,
      part->assemble(slice_dense(codes(fields).view(), dim, begin, end).view(),
                     scale.view(),
                     zero.view())};
  const std::size_t inputs = field_indices().inputs;
  for (std::size_t i = inputs; i < fields.size(); ++i) {
    out.fields[i] = fields::copied(fields[i]);
  }
  return out;
}

EncodedTensor CompressedEncoding::select(std::span<const ConstTensorView>,
                                         std::int64_t index) const {
  fields::check_select(format_name(), shape(), index);  // 2-D: always throws
  throw Error(ErrorKind::Usage, "select: a weight [N, K] has no experts");
}

std::string CompressedEncoding::check_values(
    std::span<const ConstTensorView> fields) const {
  const CompressedFields at = field_indices();
  std::string wrong = fields::describe_nonfinite(
      "weight_scale", fields[CompressedFields::kScale]);
  if (!wrong.empty()) return wrong;
  if (spec_.floating) {
    return fields::describe_nonfinite("weight",
                                      fields[CompressedFields::kCodes]);
  }
  if (at.shape == 0) return {};
  const ConstTensorView& stored = fields[at.shape];
  for (std::int64_t i = 0; i < 2; ++i) {
    const std::int64_t found = stored.dtype == DType::Int64
                                   ? stored.as<std::int64_t>()[i]
                                   : stored.as<std::int32_t>()[i];
    if (found == whole_[static_cast<std::size_t>(i)]) continue;
    return fmt::format("weight_shape[{}] is {}, expected {}",
                       i,
                       found,
                       whole_[static_cast<std::size_t>(i)]);
  }
  return {};
}

HostTensor weight_shape_field(const Shape& shape, DType dtype) {
  HostTensor out(dtype, {2});
  for (std::size_t i = 0; i < 2; ++i) {
    if (dtype == DType::Int64) {
      out.as<std::int64_t>()[i] = shape[i];
    } else {
      out.as<std::int32_t>()[i] = static_cast<std::int32_t>(shape[i]);
    }
  }
  return out;
}

std::vector<std::uint32_t> pack_zero_points(const std::int8_t* zero_point,
                                            std::int64_t rows,
                                            std::int64_t groups,
                                            int bits) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(
      packed_words(rows, bits, CodeLayout::Dense) * groups));
  for (std::int64_t g = 0; g < groups; ++g) {
    pack_codes(
        {zero_point + g, groups}, rows, bits, {words.data() + g, groups});
  }
  return words;
}

std::shared_ptr<const Encoding> make_compressed_encoding(
    const Shape& shape, DType dtype, const CompressedSpec& spec) {
  const std::string refusal = compressed_refusal(shape, dtype, spec);
  if (!refusal.empty()) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: {}", name(spec.format), refusal));
  }
  return std::make_shared<CompressedEncoding>(
      shape, dtype, spec, nullptr, shape);
}

}  // namespace mantissa
