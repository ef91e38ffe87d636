#include "kernels/lowbit_layout.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <mantissa/primitives/float_casts.h>

#include "kernels/pack_lowbit.h"

namespace mantissa::kernels {
namespace {

// The code that means 0, or the nearest there is.
std::int8_t padding(int bits, int zero) {
  const int half = 1 << (bits - 1);
  return static_cast<std::int8_t>(std::clamp(zero, -half, half - 1));
}

// What stands behind k in each row; nothing where k fills its chunks. Only a
// group of all of k ends inside a chunk: `zeros` has one a row then.
std::vector<std::int8_t> paddings(const LowbitLayout& layout,
                                  const std::int8_t* zeros) {
  if (layout.k == layout.stored_k()) return {};
  std::vector<std::int8_t> out(static_cast<std::size_t>(layout.n));
  for (std::size_t row = 0; row < out.size(); ++row) {
    out[row] = padding(layout.bits, zeros == nullptr ? 0 : zeros[row]);
  }
  return out;
}

PackLowbitArgs pack_args(const LowbitLayout& layout,
                         const std::int8_t* codes,
                         const std::vector<std::int8_t>& behind,
                         std::uint8_t* out) {
  PackLowbitArgs args;
  args.bits = layout.bits;
  args.n = layout.n;
  args.k = layout.k;
  args.codes = codes;
  args.padding = behind.data();
  args.packed = out;
  return args;
}

bool power_of_two(std::int64_t value) {
  return value > 0 && std::has_single_bit(static_cast<std::uint64_t>(value));
}

const char* levels_error(const LowbitLayout& layout) {
  if (layout.group < kLowbitHalf || !power_of_two(layout.group) ||
      layout.super < layout.group || !power_of_two(layout.super)) {
    return "two levels of scales are of groups of 16 or more values and of "
           "super-blocks of such groups, both powers of two";
  }
  if (layout.k % layout.super != 0 || layout.k % kLowbitChunk != 0) {
    return "super-blocks must divide in_features";
  }
  return layout.group == kLowbitHalf || layout.from_zero
             ? nullptr
             : "two levels of scales of more than 16 values go with codes from "
               "0";
}

// Where the super-block of a group and column stands.
std::int64_t super_place(const LowbitWeightView& w, std::int64_t at) {
  const std::int64_t groups = w.k / w.group;
  const std::int64_t group = at / kLowbitTile;
  return (group / groups * (w.k / w.super) +
          group % groups * w.group / w.super) *
             kLowbitTile +
         at % kLowbitTile;
}

float level(const LowbitWeightView& w,
            const void* values,
            const std::int8_t* factors,
            std::int64_t at) {
  if (factors == nullptr) return lowbit_scale(w.scale_type, values, at);
  return lowbit_scale(w.scale_type, values, super_place(w, at)) *
         static_cast<float>(factors[at]);
}

// [groups][16] of a tile: sums of (code - zero) of each group of each column.
using GroupSums = std::vector<std::int64_t>;

GroupSums group_sums(const LowbitLayout& layout) {
  return GroupSums(static_cast<std::size_t>(layout.groups() * kLowbitTile));
}

// Index of the metadata of a group of row j.
std::int64_t place(const LowbitLayout& layout, std::int64_t j, std::int64_t g) {
  return (j / kLowbitTile * layout.groups() + g) * kLowbitTile +
         j % kLowbitTile;
}

// LowbitWeightView::sums of a tile.
void fold(const LowbitLayout& layout,
          const LowbitWeightView& packed,
          std::int64_t tile,
          const GroupSums& groups,
          float* sums) {
  std::fill_n(sums, kLowbitTile, 0.0f);
  const std::int64_t first = tile * layout.groups() * kLowbitTile;
  const auto group = static_cast<float>(layout.group);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto at = first + static_cast<std::int64_t>(i);
    float& sum = sums[i % kLowbitTile];
    sum = std::fma(
        static_cast<float>(groups[i]), lowbit_scale_at(packed, at), sum);
    if (packed.offsets == nullptr) continue;
    sum = std::fma(group, lowbit_offset_at(packed, at), sum);
  }
}

// From sums of code + 2^(bits-1) over all that is stored.
void take_codes_alone(const LowbitLayout& layout,
                      const LowbitWeightView& packed,
                      std::int64_t tile,
                      GroupSums& sums) {
  const std::int64_t half = std::int64_t{1} << (layout.bits - 1);
  const std::int64_t middle = packed.from_zero ? 0 : half;
  const std::int64_t behind = layout.stored_k() - layout.k;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i % kLowbitTile);
    if (tile * kLowbitTile + column >= layout.n) continue;  // it is 0
    const std::int64_t at =
        tile * layout.groups() * kLowbitTile + static_cast<std::int64_t>(i);
    const int zero = packed.zeros == nullptr ? 0 : packed.zeros[at];
    sums[i] -= layout.stored_group() * middle + zero * layout.group;
    if (behind != 0) {
      sums[i] -= behind * (padding(layout.bits, zero) + half - middle);
    }
  }
}

// Calls f(T()) with an integer of so many bytes.
template <class F>
void with_value(std::int64_t bytes, const F& f) {
  if (bytes == 1) {
    f(std::uint8_t());
  } else if (bytes == 2) {
    f(std::uint16_t());
  } else {
    f(std::uint32_t());
  }
}

}  // namespace

const char* lowbit_layout_error(const LowbitLayout& layout) {
  if (layout.bits < 1 || layout.bits > 8) return "bits must be 1 to 8";
  if (layout.n < 0 || layout.k < 0) return "sizes must not be negative";
  if (layout.super != 0) return levels_error(layout);
  if (layout.group == layout.k) return nullptr;
  if (layout.group < kLowbitChunk ||
      !std::has_single_bit(static_cast<std::uint64_t>(layout.group))) {
    return "group_size must be 32, 64, 128, 256 or another power of two above";
  }
  return layout.k % layout.group == 0 ? nullptr
                                      : "group_size must divide in_features; a "
                                        "scale for each row always "
                                        "does";
}

void pack_lowbit(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const std::int8_t* zeros,
                 std::int64_t begin,
                 std::int64_t end,
                 std::uint8_t* out) {
  const auto behind = paddings(layout, zeros);
  select_pack_lowbit({layout.bits})
      .run(pack_args(layout, codes, behind, out), begin, end);
}

void unpack_lowbit(const LowbitLayout& layout,
                   const std::uint8_t* packed,
                   std::int8_t* codes) {
  select_unpack_lowbit({layout.bits})
      .run({layout.bits, layout.n, layout.k, packed, codes}, 0, layout.tiles());
}

void pack_lowbit_metadata(const LowbitLayout& layout,
                          const void* values,
                          std::int64_t bytes,
                          std::int64_t begin,
                          std::int64_t end,
                          void* out) {
  const std::int64_t groups = layout.groups();
  with_value(bytes, [&]<class T>(T) {
    const auto* from = static_cast<const T*>(values);
    auto* to = static_cast<T*>(out) + begin * groups * kLowbitTile;
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const T* rows = from + tile * kLowbitTile * groups;
      const std::int64_t there =
          std::min(kLowbitTile, layout.n - tile * kLowbitTile);
      for (std::int64_t g = 0; g < groups; ++g, to += kLowbitTile) {
        for (std::int64_t c = 0; c < there; ++c) to[c] = rows[c * groups + g];
        std::fill(to + there, to + kLowbitTile, T{0});
      }
    }
  });
}

void unpack_lowbit_metadata(const LowbitLayout& layout,
                            const void* packed,
                            std::int64_t bytes,
                            void* values) {
  const std::int64_t groups = layout.groups();
  with_value(bytes, [&]<class T>(T) {
    const auto* from = static_cast<const T*>(packed);
    auto* to = static_cast<T*>(values);
    for (std::int64_t j = 0; j < layout.n; ++j) {
      for (std::int64_t g = 0; g < groups; ++g) {
        *to++ = from[place(layout, j, g)];
      }
    }
  });
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

float lowbit_scale_at(const LowbitWeightView& w, std::int64_t at) {
  return level(w, w.scales, w.factors, at);
}

float lowbit_offset_at(const LowbitWeightView& w, std::int64_t at) {
  return w.offsets == nullptr ? 0.0f
                              : level(w, w.offsets, w.offset_factors, at);
}

void lowbit_sums(const LowbitLayout& layout,
                 const std::int8_t* codes,
                 const LowbitWeightView& packed,
                 std::int64_t begin,
                 std::int64_t end,
                 float* sums) {
  const std::int64_t groups = layout.groups();
  const std::int64_t none =
      packed.from_zero ? -(std::int64_t{1} << (layout.bits - 1)) : 0;
  GroupSums some = group_sums(layout);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const std::int64_t first = tile * kLowbitTile;
    std::ranges::fill(some, 0);
    for (std::int64_t j = first; j < std::min(first + kLowbitTile, layout.n);
         ++j) {
      for (std::int64_t g = 0; g < groups; ++g) {
        const std::int64_t zero =
            packed.zeros == nullptr ? none : packed.zeros[place(layout, j, g)];
        const std::int8_t* group = codes + j * layout.k + g * layout.group;
        std::int64_t sum = -zero * layout.group;
        for (std::int64_t i = 0; i < layout.group; ++i) sum += group[i];
        some[static_cast<std::size_t>(g * kLowbitTile + j - first)] = sum;
      }
    }
    fold(layout, packed, tile, some, sums + first);
  }
}

void pack_lowbit_with_sums(const LowbitLayout& layout,
                           const std::int8_t* codes,
                           const LowbitWeightView& packed,
                           std::int64_t begin,
                           std::int64_t end,
                           const LowbitOut& out) {
  if (layout.stored_group() < kLowbitChunk) {  // sums are of chunks
    pack_lowbit(layout, codes, packed.zeros, begin, end, out.codes);
    return lowbit_sums(layout, codes, packed, begin, end, out.sums);
  }
  const auto behind = paddings(layout, packed.zeros);
  const PackLowbitKernel& kernel = select_pack_lowbit({layout.bits});
  GroupSums some = group_sums(layout);
  PackLowbitArgs args = pack_args(layout, codes, behind, out.codes);
  args.sums = some.data();
  args.sum_chunks = layout.stored_group() / kLowbitChunk;
  for (std::int64_t tile = begin; tile < end; ++tile) {
    kernel.run(args, tile, tile + 1);
    take_codes_alone(layout, packed, tile, some);
    fold(layout, packed, tile, some, out.sums + tile * kLowbitTile);
  }
}

}  // namespace mantissa::kernels
