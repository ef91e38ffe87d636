#include "formats/lowbit_weight.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include <mantissa/core/error.h>
#include <mantissa/primitives/convert.h>

#include "formats/lowbit_grid.h"

namespace mantissa {
namespace {

using kernels::LowbitCode;
using kernels::LowbitLayout;
using kernels::LowbitScale;

bool all_zero(const HostTensor& zero) {
  const std::int8_t* values = zero.as<std::int8_t>();
  return std::all_of(values, values + zero.numel(), [](std::int8_t value) {
    return value == 0;
  });
}

// Whether all codes have their width; without a branch in the inner loop, so
// that compilers vectorize it.
bool fit(ConstTensorView codes, int bits) {
  if (bits == 8) return true;
  constexpr std::int64_t kRun = 4096;
  const auto offset = static_cast<std::uint8_t>(1 << (bits - 1));
  const std::int64_t count = codes.numel();
  for (std::int64_t done = 0; done < count; done += kRun) {
    const std::uint8_t* values = codes.as<std::uint8_t>() + done;
    std::uint8_t seen = 0;
    for (std::int64_t i = 0; i < std::min(kRun, count - done); ++i) {
      seen |= static_cast<std::uint8_t>(values[i] + offset);
    }
    if (seen >> bits != 0) return false;
  }
  return true;
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
  LowbitLayout layout;  // whose groups have one
};

void make_room(const std::vector<Metadata>& metadata) {
  for (const Metadata& each : metadata) {
    each.to = HugePageBytes(
        static_cast<std::size_t>(each.layout.metadata_values() * each.bytes));
  }
}

// Of tiles [begin, end).
void pack_metadata(const std::vector<Metadata>& metadata,
                   std::int64_t begin,
                   std::int64_t end) {
  for (const Metadata& each : metadata) {
    kernels::pack_lowbit_metadata(
        each.layout, each.from.data(), each.bytes, begin, end, each.to.data());
  }
}

}  // namespace

std::string LowbitWeight::refusal(const Encoding& encoding) {
  LowbitLayout layout;
  return lowbit_layout_of(encoding, layout);
}

std::int64_t LowbitWeight::most_bytes(const Encoding& encoding) {
  LowbitLayout layout;
  lowbit_layout_of(encoding, layout);
  const std::int64_t scale = bit_width(encoding.fields()[1].dtype) / 8;
  const bool floats = layout.from_zero || has_lowbit_offsets(encoding);
  std::int64_t metadata =
      layout.metadata_values() * (scale + (floats ? scale : 1));
  if (layout.super != 0) {
    const int each = layout.from_zero ? 2 : 1;
    metadata = each * (layout.supers().metadata_values() * scale +
                       layout.metadata_values());
  }
  return layout.code_bytes() + metadata +
         layout.tiles() * kernels::kLowbitTile * 4;
}

LowbitWeight::LowbitWeight(std::shared_ptr<const Encoding> encoding,
                           std::span<const ConstTensorView> fields,
                           const Parallel& parallel)
    : encoding_(std::move(encoding)) {
  const std::string refused = lowbit_layout_of(*encoding_, layout_);
  if (!refused.empty()) {
    throw Error(ErrorKind::Usage,
                std::string(encoding_->format_name()) +
                    ": no runtime layout: " + refused);
  }
  LowbitGrid grid = lowbit_grid_of(*encoding_, layout_, fields);
  // A file may hold codes that its width does not have.
  const ConstTensorView all_codes = codes_of(grid, fields);
  if (!fit(all_codes, layout_.bits)) layout_.bits = 8;
  kept_fields_ = lowbit_kept_fields(*encoding_, fields);
  const bool levels = layout_.super != 0;
  const bool offsets =
      grid.offset.numel() != 0 && (levels || !all_bits_zero(grid.offset));
  const LowbitScale type = make_narrow(grid.scale, grid.offset);
  const bool zeros = grid.zero.numel() != 0 && !all_zero(grid.zero);
  const LowbitLayout supers = layout_.supers();
  std::vector<Metadata> metadata = {
      {grid.scale, scale_bytes(type), scales_, supers}};
  if (offsets) {
    metadata.push_back({grid.offset, scale_bytes(type), offsets_, supers});
  }
  if (zeros) metadata.push_back({grid.zero, 1, zeros_, layout_});
  if (levels) metadata.push_back({grid.factor, 1, factors_, layout_});
  if (levels && offsets) {
    metadata.push_back({grid.offset_factor, 1, offset_factors_, layout_});
  }
  make_room(metadata);
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
           lowbit_code_of(*encoding_),
           offsets ? offsets_.data() : nullptr,
           layout_.from_zero,
           layout_.super,
           levels ? factors_.as<std::int8_t>() : nullptr,
           levels && offsets ? offset_factors_.as<std::int8_t>() : nullptr};
  parallel(layout_.tiles(), [&](std::int64_t begin, std::int64_t end) {
    pack_metadata(metadata, begin, end);
    pack_codes(all_codes.as<std::int8_t>(), begin, end);
  });
}

void LowbitWeight::pack_codes(const std::int8_t* codes,
                              std::int64_t begin,
                              std::int64_t end) {
  auto* out = codes_.as<std::uint8_t>();
  if (view_.code == LowbitCode::Integer) {
    kernels::pack_lowbit_with_sums(
        layout_, codes, view_, begin, end, {out, sums_.as<float>()});
  } else {
    kernels::pack_lowbit(layout_, codes, nullptr, begin, end, out);
  }
}

std::int64_t LowbitWeight::bytes() const {
  const std::int64_t floats =
      scale_bytes(view_.scale_type) * (view_.offsets != nullptr ? 2 : 1);
  const auto there = [](const std::int8_t* bytes) {
    return bytes != nullptr ? 1 : 0;
  };
  return layout_.code_bytes() + layout_.supers().metadata_values() * floats +
         layout_.metadata_values() *
             (there(view_.zeros) + there(view_.factors) +
              there(view_.offset_factors));
}

std::vector<HostTensor> LowbitWeight::fields() const {
  const DType stored = encoding_->fields()[1].dtype;
  const auto unpacked = [&](const LowbitLayout& layout,
                            const void* packed,
                            std::int64_t bytes,
                            DType dtype) {
    Shape shape = encoding_->shape();
    shape.back() = layout.groups();
    HostTensor out(dtype, shape);
    std::memset(out.data(), 0, out.view().bytes().size());
    if (packed != nullptr) {
      kernels::unpack_lowbit_metadata(layout, packed, bytes, out.data());
    }
    return out;
  };
  const auto integers = [&](const std::int8_t* packed) {
    return unpacked(layout_, packed, 1, DType::Int8);
  };
  const auto floats = [&](const void* packed) {
    const LowbitScale type = view_.scale_type;
    HostTensor out = unpacked(
        layout_.supers(), packed, scale_bytes(type), scale_dtype(type));
    return stored == out.dtype() ? std::move(out)
                                 : converted(out.view(), stored);
  };
  LowbitGrid grid{HostTensor::uninitialized(DType::Int8, encoding_->shape()),
                  floats(view_.scales),
                  integers(view_.zeros),
                  floats(view_.offsets),
                  integers(view_.factors),
                  integers(view_.offset_factors)};
  kernels::unpack_lowbit(layout_, view_.codes, grid.codes.as<std::int8_t>());
  return lowbit_stored_fields(*encoding_, std::move(grid), kept_fields_);
}

}  // namespace mantissa
