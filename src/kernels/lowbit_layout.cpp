#include "kernels/lowbit_layout.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <mantissa/primitives/float_casts.h>

namespace mantissa::kernels {
namespace {

constexpr int kUnits = 8;
constexpr int kUnitBytes = 64;

// The units of one chunk: code + 2^(bits-1) of column c and value 4u + j at
// [u][4c + j].
struct Units {
  std::uint8_t at[kUnits][kUnitBytes];
};

// What stands behind k in a row: the code that means 0, or the nearest.
std::int8_t padding(const LowbitLayout& layout,
                    const std::int8_t* zeros,
                    std::int64_t row) {
  // Only a group of all of k ends inside a chunk.
  const int zero = zeros == nullptr ? 0 : zeros[row * layout.groups()];
  const int half = 1 << (layout.bits - 1);
  return static_cast<std::int8_t>(std::clamp(zero, -half, half - 1));
}

Units gather(const LowbitLayout& layout,
             const std::int8_t* codes,
             const std::int8_t* zeros,
             std::int64_t tile,
             std::int64_t chunk) {
  Units out = {};
  const int offset = 1 << (layout.bits - 1);
  const std::int64_t first = tile * kLowbitTile;
  const std::int64_t columns = std::min(kLowbitTile, layout.n - first);
  const std::int64_t k0 = chunk * kLowbitChunk;
  const std::int64_t values = std::min(kLowbitChunk, layout.k - k0);
  for (std::int64_t c = 0; c < columns; ++c) {
    const std::int8_t* row = codes + (first + c) * layout.k + k0;
    const std::int8_t pad = padding(layout, zeros, first + c);
    for (std::int64_t i = 0; i < kLowbitChunk; ++i) {
      const std::int8_t code = i < values ? row[i] : pad;
      out.at[i / 4][4 * c + i % 4] = static_cast<std::uint8_t>(code + offset);
    }
  }
  return out;
}

void scatter(const LowbitLayout& layout,
             const Units& units,
             std::int64_t tile,
             std::int64_t chunk,
             std::int8_t* codes) {
  const int offset = 1 << (layout.bits - 1);
  const std::int64_t first = tile * kLowbitTile;
  const std::int64_t columns = std::min(kLowbitTile, layout.n - first);
  const std::int64_t k0 = chunk * kLowbitChunk;
  const std::int64_t values = std::min(kLowbitChunk, layout.k - k0);
  for (std::int64_t c = 0; c < columns; ++c) {
    std::int8_t* row = codes + (first + c) * layout.k + k0;
    for (std::int64_t i = 0; i < values; ++i) {
      row[i] =
          static_cast<std::int8_t>(units.at[i / 4][4 * c + i % 4] - offset);
    }
  }
}

// One plane of `width` bits: bits [low, low + width) of the codes.
std::uint8_t* put_plane(const Units& units,
                        int low,
                        int width,
                        std::uint8_t* out) {
  const int each = 8 / width;  // units a byte
  const int mask = (1 << width) - 1;
  for (int r = 0; r < kUnits / each; ++r) {
    for (int b = 0; b < kUnitBytes; ++b) {
      int byte = 0;
      for (int i = 0; i < each; ++i) {
        byte |= ((units.at[r * each + i][b] >> low) & mask) << (width * i);
      }
      *out++ = static_cast<std::uint8_t>(byte);
    }
  }
  return out;
}

const std::uint8_t* take_plane(const std::uint8_t* in,
                               int low,
                               int width,
                               Units& units) {
  const int each = 8 / width;
  const int mask = (1 << width) - 1;
  for (int r = 0; r < kUnits / each; ++r) {
    for (int b = 0; b < kUnitBytes; ++b) {
      const int byte = *in++;
      for (int i = 0; i < each; ++i) {
        units.at[r * each + i][b] |=
            static_cast<std::uint8_t>(((byte >> (width * i)) & mask) << low);
      }
    }
  }
  return in;
}

// Calls plane(lowest bit, width) for each plane of a code.
template <class Plane>
void for_each_plane(int bits, const Plane& plane) {
  if (bits == 8) {
    plane(0, 8);
    return;
  }
  int low = 0;
  for (const int width : {4, 2, 1}) {
    if ((bits & width) == 0) continue;
    plane(low, width);
    low += width;
  }
}

// The four codes of one row and unit, one a byte; `at` is where the row's bytes
// of a chunk begin.
std::uint32_t row_unit(int bits, const std::uint8_t* at, int unit) {
  std::uint32_t codes = 0;
  for_each_plane(bits, [&](int low, int width) {
    const int each = 8 / width;
    std::uint32_t word = 0;
    std::memcpy(&word, at + unit / each * kUnitBytes, sizeof(word));
    const std::uint32_t mask = ((1u << width) - 1) * 0x01010101u;
    codes |= (word >> (unit % each * width) & mask) << low;
    at += kUnits / each * kUnitBytes;
  });
  return codes;
}

}  // namespace

const char* lowbit_layout_error(const LowbitLayout& layout) {
  if (layout.bits < 1 || layout.bits > 8) return "bits must be 1 to 8";
  if (layout.n < 0 || layout.k < 0) return "sizes must not be negative";
  if (layout.group == layout.k) return nullptr;
  if (layout.group < kLowbitChunk ||
      !std::has_single_bit(static_cast<std::uint64_t>(layout.group))) {
    return "group_size must be 32, 64, 128, 256 or another power of two above";
  }
  return layout.k % layout.group == 0 ? nullptr
                                      : "group_size must divide in_features";
}

void pack_lowbit(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const std::int8_t* zeros,
                 std::int64_t begin,
                 std::int64_t end,
                 std::uint8_t* out) {
  const std::int64_t chunk_bytes = layout.bits * kUnitBytes;
  for (std::int64_t tile = begin; tile < end; ++tile) {
    for (std::int64_t chunk = 0; chunk < layout.chunks(); ++chunk) {
      const Units units = gather(layout, codes, zeros, tile, chunk);
      std::uint8_t* to = out + (tile * layout.chunks() + chunk) * chunk_bytes;
      for_each_plane(layout.bits, [&](int low, int width) {
        to = put_plane(units, low, width, to);
      });
    }
  }
}

void unpack_lowbit(const LowbitLayout& layout,
                   const std::uint8_t* packed,
                   std::int8_t* codes) {
  for (std::int64_t tile = 0; tile < layout.tiles(); ++tile) {
    for (std::int64_t chunk = 0; chunk < layout.chunks(); ++chunk) {
      Units units = {};
      for_each_plane(layout.bits, [&](int low, int width) {
        packed = take_plane(packed, low, width, units);
      });
      scatter(layout, units, tile, chunk, codes);
    }
  }
}

void unpack_lowbit_row(const LowbitLayout& layout,
                       const std::uint8_t* packed,
                       std::int64_t row,
                       std::int8_t* codes) {
  const std::uint8_t* chunk =
      packed + row / kLowbitTile * layout.chunks() * layout.bits * kUnitBytes +
      row % kLowbitTile * 4;
  const int offset = 1 << (layout.bits - 1);
  for (std::int64_t k = 0; k < layout.k; k += kLowbitChunk) {
    std::int8_t values[kLowbitChunk];
    for (int unit = 0; unit < kUnits; ++unit) {
      const std::uint32_t four = row_unit(layout.bits, chunk, unit);
      for (int i = 0; i < 4; ++i) {
        values[4 * unit + i] = static_cast<std::int8_t>(
            static_cast<int>(four >> 8 * i & 0xff) - offset);
      }
    }
    std::memcpy(codes + k,
                values,
                static_cast<std::size_t>(std::min(kLowbitChunk, layout.k - k)));
    chunk += layout.bits * kUnitBytes;
  }
}

void pack_lowbit_metadata(const LowbitLayout& layout,
                          const void* values,
                          std::int64_t bytes,
                          std::int64_t begin,
                          std::int64_t end,
                          void* out) {
  const auto* from = static_cast<const std::byte*>(values);
  auto* to = static_cast<std::byte*>(out);
  const std::int64_t groups = layout.groups();
  for (std::int64_t j = begin * kLowbitTile; j < end * kLowbitTile; ++j) {
    const std::int64_t tile = j / kLowbitTile;
    for (std::int64_t g = 0; g < groups; ++g) {
      std::byte* place =
          to + ((tile * groups + g) * kLowbitTile + j % kLowbitTile) * bytes;
      const auto count = static_cast<std::size_t>(bytes);
      if (j < layout.n) {
        std::memcpy(place, from + (j * groups + g) * bytes, count);
      } else {
        std::memset(place, 0, count);
      }
    }
  }
}

void unpack_lowbit_metadata(const LowbitLayout& layout,
                            const void* packed,
                            std::int64_t bytes,
                            void* values) {
  const auto* from = static_cast<const std::byte*>(packed);
  auto* to = static_cast<std::byte*>(values);
  const std::int64_t groups = layout.groups();
  for (std::int64_t j = 0; j < layout.n; ++j) {
    const std::int64_t tile = j / kLowbitTile;
    for (std::int64_t g = 0; g < groups; ++g) {
      std::memcpy(
          to + (j * groups + g) * bytes,
          from + ((tile * groups + g) * kLowbitTile + j % kLowbitTile) * bytes,
          static_cast<std::size_t>(bytes));
    }
  }
}

float lowbit_scale(LowbitScale type, const void* scales, std::int64_t i) {
  switch (type) {
    case LowbitScale::Bf16:
      return bfloat16_to_float(static_cast<const std::uint16_t*>(scales)[i]);
    case LowbitScale::F16:
      return float16_to_float(static_cast<const std::uint16_t*>(scales)[i]);
    case LowbitScale::F32:
      break;
  }
  return static_cast<const float*>(scales)[i];
}

void lowbit_sums(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const LowbitWeightView& packed,
                 std::int64_t begin,
                 std::int64_t end,
                 float* sums) {
  const std::int64_t groups = layout.groups();
  for (std::int64_t j = begin * kLowbitTile; j < end * kLowbitTile; ++j) {
    sums[j] = 0;
    if (j >= layout.n) continue;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int64_t at =
          (j / kLowbitTile * groups + g) * kLowbitTile + j % kLowbitTile;
      const std::int64_t zero = packed.zeros == nullptr ? 0 : packed.zeros[at];
      const std::int8_t* group = codes + j * layout.k + g * layout.group;
      std::int64_t sum = -zero * layout.group;
      for (std::int64_t i = 0; i < layout.group; ++i) sum += group[i];
      sums[j] = std::fma(static_cast<float>(sum),
                         lowbit_scale(packed.scale_type, packed.scales, at),
                         sums[j]);
      if (packed.offsets == nullptr) continue;
      sums[j] = std::fma(static_cast<float>(layout.group),
                         lowbit_scale(packed.scale_type, packed.offsets, at),
                         sums[j]);
    }
  }
}

}  // namespace mantissa::kernels
