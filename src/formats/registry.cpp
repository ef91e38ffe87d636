#include <mantissa/formats/registry.h>

#include "formats/float8_tensor.h"
#include "formats/int4_tensor.h"
#include "formats/int4_tile_packed_to_4d_tensor.h"
#include "formats/int8_tensor.h"
#include "formats/intx_unpacked_to_int8_tensor.h"
#include "formats/nf4_tensor.h"

namespace mantissa {
namespace {

constexpr Format kFormats[] = {
    {"Int8Tensor", "8-bit codes, scales of any block", parse_int8_tensor},
    {"IntxUnpackedToInt8Tensor",
     "1- to 8-bit codes, one to a byte",
     parse_intx_tensor},
    {"Int4Tensor", "4-bit groups with float zero points", parse_int4_tensor},
    {"Int4TilePackedTo4dTensor",
     "4-bit groups in the tiles of tinygemm's CUDA kernels",
     parse_int4_tile_packed},
    {"Float8Tensor", "float8 codes with scales per block", parse_float8_tensor},
    {"NF4Tensor",
     "4-bit quantiles with twice quantized scales",
     parse_nf4_tensor},
};

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (format.name == name) return &format;
  }
  return nullptr;
}

}  // namespace mantissa
