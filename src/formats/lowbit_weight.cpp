#include "formats/lowbit_weight.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>
#include <mantissa/primitives/float_casts.h>

#include "formats/affine_encoding.h"
#include "formats/compressed_tensor.h"
#include "formats/fields.h"
#include "formats/float8_tensor.h"
#include "formats/int4_grid.h"
#include "formats/int4_tensor.h"
#include "formats/int4_tensor_encoder.h"
#include "primitives/int4_decode.h"

namespace mantissa {
namespace {

using fields::copied;
using kernels::LowbitCode;
using kernels::LowbitLayout;
using kernels::LowbitScale;

// Codes, scales and zero points of a weight, each in its stored dtype.
struct Grid {
  HostTensor codes;  // int8 [N, K]: float8 with the sign bit flipped
  HostTensor scale;  // [N, G]
  HostTensor zero;   // int8 [N, G]; empty: there is none
  HostTensor offset = HostTensor();  // of the scale's dtype [N, G]; or empty
};

int bits_of(const IntegerRange& range) {
  return std::bit_width(static_cast<std::uint64_t>(-range.min));
}

// The layout of an affine weight, whose blocks are parts of one row.
std::string affine_layout(const AffineEncoding& encoding, LowbitLayout& out) {
  const AffineLayout& stored = encoding.layout();
  if (stored.zero_point_dtype.value_or(DType::Int8) != DType::Int8) {
    return "its zero points are not integers";
  }
  if (!stored.extra.empty()) return "it holds activation fields";
  const Shape& block = stored.block_size;
  if (std::any_of(block.begin(), block.end() - 1, [](std::int64_t extent) {
        return extent != 1;
      })) {
    return "rows share a scale";
  }
  // Int8Tensor's codes may be narrower than its dtype says.
  out.bits = encoding.format_name() == "Int8Tensor" ? 8 : bits_of(stored.range);
  out.group = block.back();
  return {};
}

std::string compressed_layout(const CompressedEncoding& encoding,
                              LowbitLayout& out) {
  const CompressedSpec& spec = encoding.spec();
  if (encoding.shape().size() != 2) return "it is not a matrix";
  if (!spec.floating && encoding.scale_rows() != 1) return "rows share a scale";
  if (spec.layout != CodeLayout::Dense) return "its codes are padded";
  out.bits = spec.num_bits;
  out.group = encoding.scale_columns();
  return {};
}

std::string float8_layout(const Float8Parameters& float8, LowbitLayout& out) {
  if (float8.spec.act_quant_kwargs) {
    return "its config names float8 activations";
  }
  if (float8.grid.shape.size() != 2) return "it is not a matrix";
  const DType dtype = float8.spec.float8_dtype;
  if (dtype != DType::Float8E4M3FN && dtype != DType::Float8E5M2) {
    return "its float8 dtype is not float8_e4m3fn or float8_e5m2";
  }
  out.bits = 8;
  out.group = float8.grid.run;
  return {};
}

std::string int4_layout(const Int4Parameters& int4, LowbitLayout& out) {
  if (int4.spec.activation_dtype != DType::BFloat16) {
    return "its config names float8 activations";
  }
  if (int4.act_pre_scale) return "it holds an act_pre_scale for activations";
  out.bits = 4;
  out.group = int4.spec.group_size;
  return {};
}

std::string layout_of(const Encoding& encoding, LowbitLayout& out) {
  const Shape& shape = encoding.shape();
  if (shape.size() != 2 && shape.size() != 3) return "it is not a matrix";
  if (shape.size() == 3 && shape[1] % kernels::kLowbitTile != 0) {
    return "an expert's rows are no multiple of 16";
  }
  out.n = shape.size() == 3 ? shape[0] * shape[1] : shape[0];
  out.k = shape.back();
  std::string refusal = "its format has no integer or float8 codes with scales";
  if (const auto* affine = dynamic_cast<const AffineEncoding*>(&encoding)) {
    refusal = affine_layout(*affine, out);
  } else if (const auto* compressed =
                 dynamic_cast<const CompressedEncoding*>(&encoding)) {
    refusal = compressed_layout(*compressed, out);
  } else if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    refusal = float8_layout(*float8, out);
  } else if (const auto int4 = int4_parameters(encoding)) {
    refusal = int4_layout(*int4, out);
  }
  if (!refusal.empty()) return refusal;
  if (out.k == 0) return "it has no columns";
  const char* error = kernels::lowbit_layout_error(out);
  return error == nullptr ? std::string() : std::string(error);
}

LowbitCode code_of(const Encoding& encoding) {
  if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    return float8->spec.float8_dtype == DType::Float8E5M2 ? LowbitCode::E5m2
                                                          : LowbitCode::E4m3;
  }
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  return compressed != nullptr && compressed->spec().floating
             ? LowbitCode::E4m3
             : LowbitCode::Integer;
}

// Rows of a weight [N, K] that share a row of scales.
std::int64_t rows_of_scale(const Encoding& encoding) {
  if (const Float8Parameters* float8 = float8_parameters(encoding)) {
    return float8->grid.block[0];
  }
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  return compressed == nullptr ? 1 : compressed->scale_rows();
}

// Codes of 8 bits, the sign bit of each flipped: float8 as int8 and back.
HostTensor with_flipped_signs(const HostTensor& codes, DType dtype) {
  HostTensor out(dtype, codes.shape());
  const auto* from = reinterpret_cast<const std::uint8_t*>(codes.data());
  auto* to = reinterpret_cast<std::uint8_t*>(out.data());
  for (std::int64_t i = 0; i < codes.numel(); ++i) to[i] = from[i] ^ 0x80;
  return out;
}

// Each row `each` times; and the first of each `each` rows.
HostTensor repeated_rows(const HostTensor& rows,
                         std::int64_t each,
                         Shape shape) {
  HostTensor out(rows.dtype(), std::move(shape));
  const std::int64_t bytes = out.shape().back() * bit_width(out.dtype()) / 8;
  for (std::int64_t i = 0; i < out.shape()[0]; ++i) {
    std::memcpy(out.data() + i * bytes,
                rows.data() + i / each * bytes,
                static_cast<std::size_t>(bytes));
  }
  return out;
}

HostTensor first_rows(const HostTensor& rows, std::int64_t each, Shape shape) {
  HostTensor out(rows.dtype(), std::move(shape));
  const std::int64_t bytes = rows.shape().back() * bit_width(out.dtype()) / 8;
  for (std::int64_t i = 0; i * each < rows.shape()[0]; ++i) {
    std::memcpy(out.data() + i * bytes,
                rows.data() + i * each * bytes,
                static_cast<std::size_t>(bytes));
  }
  return out;
}

Grid float8_grid(const Encoding& encoding,
                 const LowbitLayout& layout,
                 std::span<const ConstTensorView> fields) {
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  const HostTensor codes =
      compressed == nullptr ? copied(fields[0]) : compressed->codes(fields);
  // A row of scales for each row of codes.
  return {with_flipped_signs(codes, DType::Int8),
          repeated_rows(copied(fields[1]),
                        rows_of_scale(encoding),
                        {layout.n, layout.groups()}),
          HostTensor()};
}

Grid grid_of(const Encoding& encoding,
             const LowbitLayout& layout,
             std::span<const ConstTensorView> fields) {
  if (code_of(encoding) != LowbitCode::Integer) {
    return float8_grid(encoding, layout, fields);
  }
  if (const auto* compressed =
          dynamic_cast<const CompressedEncoding*>(&encoding)) {
    return {compressed->codes(fields),
            copied(fields[CompressedFields::kScale]),
            compressed->spec().symmetric ? HostTensor()
                                         : compressed->zero_points(fields)};
  }
  if (int4_parameters(encoding)) {
    return {int4_codes(fields[kInt4Qdata]),
            int4_exchanged(fields[kInt4Scale]),
            HostTensor(),
            int4_exchanged(fields[kInt4ZeroPoint])};
  }
  return {copied(fields[0]),
          copied(fields[1]),
          fields.size() > 2 ? copied(fields[2]) : HostTensor()};
}

bool all_zero(const HostTensor& zero) {
  const std::int8_t* values = zero.as<std::int8_t>();
  return std::all_of(values, values + zero.numel(), [](std::int8_t value) {
    return value == 0;
  });
}

bool fit(const HostTensor& codes, int bits) {
  const int least = -(1 << (bits - 1));
  const std::int8_t* values = codes.as<std::int8_t>();
  return std::all_of(values, values + codes.numel(), [&](std::int8_t value) {
    return value >= least && value < -least;
  });
}

bool all_bits_zero(const HostTensor& values) {
  return std::ranges::all_of(values.view().bytes(), [](std::byte byte) {
    return byte == std::byte{0};
  });
}

bool fits_bfloat16(const HostTensor& values) {
  const HostTensor narrow = converted(values.view(), DType::BFloat16);
  const HostTensor back = converted(narrow.view(), DType::Float32);
  return std::ranges::equal(back.view().bytes(), values.view().bytes());
}

// Scales and offsets in 16 bits if that is exact.
LowbitScale make_narrow(HostTensor& scale, HostTensor& offset) {
  if (scale.dtype() == DType::BFloat16) return LowbitScale::Bf16;
  if (scale.dtype() == DType::Float16) return LowbitScale::F16;
  const bool offsets = offset.numel() != 0;
  if (!fits_bfloat16(scale) || (offsets && !fits_bfloat16(offset))) {
    return LowbitScale::F32;
  }
  scale = converted(scale.view(), DType::BFloat16);
  if (offsets) offset = converted(offset.view(), DType::BFloat16);
  return LowbitScale::Bf16;
}

float number(LowbitCode kind, std::int8_t code, int zero) {
  if (kind == LowbitCode::Integer) return static_cast<float>(code - zero);
  const auto bits = static_cast<std::uint8_t>(code ^ 0x80);
  return kind == LowbitCode::E4m3 ? Float8E4M3FN::decode(bits)
                                  : Float8E5M2::decode(bits);
}

// code * scale + offset rounded once to a dtype.
float sum_in(DType dtype, float code, float scale, float offset) {
  if (dtype == DType::Float32) return std::fma(code, scale, offset);
  const float odd = multiply_add_to_odd(code, scale, offset);
  return dtype == DType::BFloat16 ? bfloat16_to_float(float_to_bfloat16(odd))
                                  : float16_to_float(float_to_float16(odd));
}

std::int64_t scale_bytes(LowbitScale type) {
  return type == LowbitScale::F32 ? 4 : 2;
}

DType scale_dtype(LowbitScale type) {
  return type == LowbitScale::Bf16  ? DType::BFloat16
         : type == LowbitScale::F16 ? DType::Float16
                                    : DType::Float32;
}

// What stands beside the codes, and where it goes.
struct Metadata {
  const HostTensor& from;
  std::int64_t bytes;  // of a value
  HugePageBytes& to;
};

// The fields that the runtime layout has no place for.
std::vector<HostTensor> kept_fields(const Encoding& encoding,
                                    std::span<const ConstTensorView> fields) {
  std::vector<HostTensor> out;
  const auto* compressed = dynamic_cast<const CompressedEncoding*>(&encoding);
  if (compressed == nullptr) return out;
  const CompressedFields at = compressed->field_indices();
  const std::size_t first = at.shape != 0 ? at.shape : at.inputs;
  for (std::size_t i = first; i < fields.size(); ++i) {
    out.push_back(copied(fields[i]));
  }
  return out;
}

}  // namespace

std::string LowbitWeight::refusal(const Encoding& encoding) {
  LowbitLayout layout;
  return layout_of(encoding, layout);
}

std::int64_t LowbitWeight::most_bytes(const Encoding& encoding) {
  LowbitLayout layout;
  layout_of(encoding, layout);
  const std::int64_t scale = bit_width(encoding.fields()[1].dtype) / 8;
  const std::int64_t zero = int4_parameters(encoding) ? scale : 1;
  return layout.code_bytes() + layout.metadata_values() * (scale + zero) +
         layout.tiles() * kernels::kLowbitTile * 4;
}

LowbitWeight::LowbitWeight(std::shared_ptr<const Encoding> encoding,
                           std::span<const ConstTensorView> fields,
                           const Parallel& parallel)
    : encoding_(std::move(encoding)) {
  const std::string refused = layout_of(*encoding_, layout_);
  if (!refused.empty()) {
    throw Error(ErrorKind::Usage,
                std::string(encoding_->format_name()) +
                    ": no runtime layout: " + refused);
  }
  Grid grid = grid_of(*encoding_, layout_, fields);
  // A file may hold codes that its width does not have.
  if (!fit(grid.codes, layout_.bits)) layout_.bits = 8;
  kept_fields_ = kept_fields(*encoding_, fields);
  const bool offsets = grid.offset.numel() != 0 && !all_bits_zero(grid.offset);
  const LowbitScale type = make_narrow(grid.scale, grid.offset);
  const bool zeros = grid.zero.numel() != 0 && !all_zero(grid.zero);
  std::vector<Metadata> metadata = {{grid.scale, scale_bytes(type), scales_}};
  if (offsets) metadata.push_back({grid.offset, scale_bytes(type), offsets_});
  if (zeros) metadata.push_back({grid.zero, 1, zeros_});
  for (const Metadata& each : metadata) {
    each.to = HugePageBytes(
        static_cast<std::size_t>(layout_.metadata_values() * each.bytes));
  }
  codes_ = HugePageBytes(static_cast<std::size_t>(layout_.code_bytes()));
  sums_ = HugePageBytes(static_cast<std::size_t>(layout_.tiles()) *
                        kernels::kLowbitTile * sizeof(float));
  view_ = {layout_.bits,
           layout_.n,
           layout_.stored_k(),
           layout_.stored_group(),
           codes_.as<std::uint8_t>(),
           type,
           scales_.data(),
           zeros ? zeros_.as<std::int8_t>() : nullptr,
           sums_.as<float>(),
           code_of(*encoding_),
           offsets ? offsets_.data() : nullptr};
  parallel(layout_.tiles(), [&](std::int64_t begin, std::int64_t end) {
    const auto* codes = grid.codes.as<std::int8_t>();
    const auto* zero = zeros ? grid.zero.as<std::int8_t>() : nullptr;
    kernels::pack_lowbit(
        layout_, codes, zero, begin, end, codes_.as<std::uint8_t>());
    for (const Metadata& each : metadata) {
      kernels::pack_lowbit_metadata(
          layout_, each.from.data(), each.bytes, begin, end, each.to.data());
    }
    if (view_.code != LowbitCode::Integer) return;
    kernels::lowbit_sums(layout_, codes, view_, begin, end, sums_.as<float>());
  });
}

std::int64_t LowbitWeight::bytes() const {
  const std::int64_t scale = scale_bytes(view_.scale_type);
  return layout_.code_bytes() +
         layout_.metadata_values() * (scale + (view_.zeros != nullptr ? 1 : 0) +
                                      (view_.offsets != nullptr ? scale : 0));
}

std::vector<HostTensor> LowbitWeight::fields() const {
  Shape grid = encoding_->shape();
  grid.back() = layout_.groups();
  HostTensor codes(DType::Int8, encoding_->shape());
  kernels::unpack_lowbit(layout_, view_.codes, codes.as<std::int8_t>());
  const std::vector<FieldLayout> layouts = encoding_->fields();
  const DType stored = layouts[1].dtype;
  const auto floats = [&](const void* packed) {
    HostTensor out(scale_dtype(view_.scale_type), grid);
    std::memset(out.data(), 0, out.view().bytes().size());
    if (packed != nullptr) {
      kernels::unpack_lowbit_metadata(
          layout_, packed, scale_bytes(view_.scale_type), out.data());
    }
    return stored == out.dtype() ? std::move(out)
                                 : converted(out.view(), stored);
  };
  HostTensor scale = floats(view_.scales);
  if (int4_parameters(*encoding_)) {
    std::vector<HostTensor> out;
    out.push_back(int4_qdata(codes.view()));
    out.push_back(int4_exchanged(scale.view()));
    out.push_back(int4_exchanged(floats(view_.offsets).view()));
    return out;
  }
  HostTensor zero(DType::Int8, grid);
  std::memset(zero.data(), 0, static_cast<std::size_t>(zero.numel()));
  if (view_.zeros != nullptr) {
    kernels::unpack_lowbit_metadata(layout_, view_.zeros, 1, zero.data());
  }
  const auto* compressed =
      dynamic_cast<const CompressedEncoding*>(encoding_.get());
  if (view_.code != LowbitCode::Integer) {
    codes = with_flipped_signs(codes, layouts[0].dtype);
    scale = first_rows(scale, rows_of_scale(*encoding_), layouts[1].shape);
  }
  if (compressed != nullptr) {
    auto out = compressed->assemble(codes.view(), scale.view(), zero.view());
    // What the runtime layout has no place for stands at the end.
    std::ranges::copy(
        kept_fields_,
        out.end() - static_cast<std::ptrdiff_t>(kept_fields_.size()));
    return out;
  }
  std::vector<HostTensor> out;
  out.push_back(std::move(codes));
  out.push_back(std::move(scale));
  if (layouts.size() > 2) out.push_back(std::move(zero));
  return out;
}

void LowbitWeight::decode_row(std::int64_t row, float* values) const {
  std::vector<std::int8_t> codes(static_cast<std::size_t>(layout_.k));
  kernels::unpack_lowbit_row(layout_, view_.codes, row, codes.data());
  for (std::int64_t g = 0; g < layout_.groups(); ++g) {
    const std::int64_t at =
        (row / kernels::kLowbitTile * layout_.groups() + g) *
            kernels::kLowbitTile +
        row % kernels::kLowbitTile;
    const int zero = view_.zeros == nullptr ? 0 : view_.zeros[at];
    const float scale =
        kernels::lowbit_scale(view_.scale_type, view_.scales, at);
    const float offset =
        view_.offsets == nullptr
            ? 0.0f
            : kernels::lowbit_scale(view_.scale_type, view_.offsets, at);
    const std::int64_t end = (g + 1) * layout_.group;
    for (std::int64_t k = g * layout_.group; k < end; ++k) {
      const std::int8_t code = codes[static_cast<std::size_t>(k)];
      const float value = number(view_.code, code, zero);
      values[k] = view_.offsets == nullptr
                      ? value * scale
                      : sum_in(encoding_->dtype(), value, scale, offset);
    }
  }
}

}  // namespace mantissa
