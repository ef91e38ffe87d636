#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <mantissa/formats/compressed_tensor.h>
#include <mantissa/formats/float8_tensor.h>
#include <mantissa/formats/int4_tensor.h>
#include <mantissa/formats/int4_tile_packed_to_4d_tensor.h>
#include <mantissa/formats/int8_tensor.h>
#include <mantissa/formats/intx_unpacked_to_int8_tensor.h>

namespace mantissa::tests {

/// By bits less 1.
inline constexpr DType kIntWidths[] = {DType::Int1,
                                       DType::Int2,
                                       DType::Int3,
                                       DType::Int4,
                                       DType::Int5,
                                       DType::Int6,
                                       DType::Int7,
                                       DType::Int8};

/// An encoding of a [48, 192] weight that has a runtime layout.
struct NamedEncoding {
  std::string name;
  std::shared_ptr<const Encoding> encoding;
};

/// Of integers whose rows share a scale.
inline std::vector<NamedEncoding> encodings_of_rows(DType dtype) {
  const Shape shape = {48, 192};
  std::vector<NamedEncoding> out;
  for (const Granularity& granularity : std::initializer_list<Granularity>{
           PerTensor{}, PerBlock{{8, 64}}, PerBlock{{8, 192}}}) {
    out.push_back(
        {"Int8Tensor of rows" + std::to_string(out.size()),
         make_int8_encoding(shape, dtype, {.granularity = granularity})});
  }
  for (const auto strategy :
       {CompressedStrategy::Tensor, CompressedStrategy::Block}) {
    for (const bool symmetric : {true, false}) {
      if (!symmetric && strategy == CompressedStrategy::Block) continue;
      CompressedSpec spec;
      spec.format = CompressedFormat::NaiveQuantized;
      spec.num_bits = 8;
      spec.symmetric = symmetric;
      spec.strategy = strategy;
      spec.block_rows = 8;
      spec.block_columns = 64;
      out.push_back({"naive-quantized of rows" + std::to_string(out.size()),
                     make_compressed_encoding(shape, dtype, spec)});
    }
  }
  return out;
}

/// Every width and layout of integers.
inline std::vector<NamedEncoding> encodings(DType dtype) {
  const Shape shape = {48, 192};
  std::vector<NamedEncoding> out;
  for (int bits = 1; bits <= 8; ++bits) {
    for (const bool symmetric : {true, false}) {
      IntxSpec intx;
      intx.target_dtype = kIntWidths[bits - 1];
      intx.mapping_type =
          symmetric ? MappingType::Symmetric : MappingType::Asymmetric;
      if (bits % 2 == 0) {
        intx.granularity = PerGroup{bits % 4 == 0 ? 32 : 64};
      }
      // A range of one bit has no symmetric grid.
      if (bits > 1 || !symmetric) {
        out.push_back({"intx" + std::to_string(bits),
                       make_intx_encoding(shape, dtype, intx)});
      }
      CompressedSpec compressed;
      compressed.num_bits = bits;
      compressed.symmetric = symmetric;
      compressed.group_size = bits % 3 == 0 ? 64 : 32;
      if (bits > 1) {
        out.push_back({"pack-quantized" + std::to_string(bits),
                       make_compressed_encoding(shape, dtype, compressed)});
      }
    }
  }
  for (const std::int64_t group : {32, 64, 192}) {
    out.push_back({"Int4Tensor" + std::to_string(group),
                   make_int4_encoding(shape, dtype, {.group_size = group})});
  }
  out.push_back({"Int8Tensor", make_int8_encoding(shape, dtype, {})});
  for (NamedEncoding& each : encodings_of_rows(dtype)) {
    out.push_back(std::move(each));
  }
  if (dtype != DType::BFloat16) return out;
  for (const std::int64_t group : {32, 64}) {
    out.push_back(
        {"Int4TilePackedTo4dTensor" + std::to_string(group),
         make_int4_tile_packed_encoding(
             shape, dtype, {.group_size = group, .ntile = group / 4})});
  }
  return out;
}

/// The same of float8 codes.
inline std::vector<NamedEncoding> float8_encodings(DType dtype) {
  const Shape shape = {48, 192};
  std::vector<NamedEncoding> out;
  for (const DType float8 : {DType::Float8E4M3FN, DType::Float8E5M2}) {
    const std::string name = float8 == DType::Float8E5M2 ? "e5m2" : "e4m3";
    for (const Granularity& granularity : std::initializer_list<Granularity>{
             PerTensor{}, PerRow{}, PerGroup{64}, PerBlock{{8, 64}}}) {
      out.push_back({name + std::to_string(granularity.index()),
                     make_float8_encoding(shape,
                                          dtype,
                                          {.float8_dtype = float8,
                                           .granularity = granularity})});
    }
  }
  for (const auto strategy : {CompressedStrategy::Tensor,
                              CompressedStrategy::Channel,
                              CompressedStrategy::Group,
                              CompressedStrategy::Block}) {
    CompressedSpec spec;
    spec.format = CompressedFormat::NaiveQuantized;
    spec.num_bits = 8;
    spec.floating = true;
    spec.strategy = strategy;
    spec.group_size = 64;
    spec.block_rows = 8;
    spec.block_columns = 64;
    out.push_back({"naive-quantized " + std::string(mantissa::name(strategy)),
                   make_compressed_encoding(shape, dtype, spec)});
  }
  return out;
}

/// Both.
inline std::vector<NamedEncoding> all_encodings(DType dtype) {
  auto out = encodings(dtype);
  for (NamedEncoding& each : float8_encodings(dtype)) {
    out.push_back(std::move(each));
  }
  return out;
}

}  // namespace mantissa::tests
