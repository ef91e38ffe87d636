#include <mantissa/formats/packed_groupwise_lut.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "formats/packed_header.h"
#include "kernels/pack_bits.h"

namespace mantissa {
namespace {

using kernels::CodeRange;
using kernels::PackBitsProblem;

constexpr const char* kOp = "packed groupwise lut";
constexpr auto kType = PackedWeightsType::LinearGroupwiseLut;
// The only tile that torchao registers: rows, columns, parts of a block.
constexpr std::array<std::int32_t, 3> kTile = {4, 32, 8};
constexpr const char* kTileNames[] = {"nr", "kr", "sr"};
constexpr int kRows = 4;
constexpr int kColumns = 32;
constexpr int kBlock = kRows * kColumns;
constexpr std::int64_t kTableEntries = 16;

// A strip: float32 lut[16]; for each 32 columns, before the first of a scale
// group float32 scale[4], then a block of 128 indices, where index 16 s + 4 c +
// t is row c, k = 4 s + t; float32 bias[4].

[[noreturn]] void throw_usage(const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", kOp, what));
}

void check(const PackedGroupwiseLut& w) {
  if (w.bits < 1 || w.bits > 4) {
    throw_usage(fmt::format("bits: expected 1 to 4, got {}", w.bits));
  }
  if (w.n < 1 || w.k < 1 || w.k % kColumns != 0) {
    throw_usage(
        fmt::format("expected at least one row and columns that are a multiple "
                    "of 32, got [{}, {}]",
                    w.n,
                    w.k));
  }
  const std::int64_t scales = w.scale_group_size;
  if (scales < 1 || scales % kColumns != 0 || w.k % scales != 0) {
    throw_usage(fmt::format(
        "scale_group_size: expected a multiple of 32 that divides k = {}, got "
        "{}",
        w.k,
        scales));
  }
  const std::int64_t strip = checked_product(kOp, {kRows, w.k});
  if (w.lut_group_size < 1 || w.lut_group_size % strip != 0) {
    throw_usage(
        fmt::format("lut_group_size: expected a multiple of 4 * k = {}, got {}",
                    strip,
                    w.lut_group_size));
  }
  if (scales > INT32_MAX || w.lut_group_size > INT32_MAX) {
    throw_usage("group sizes: the header holds 32 bits");
  }
}

std::int64_t strips_of(const PackedGroupwiseLut& w) {
  return w.n / kRows + (w.n % kRows != 0);
}

std::int64_t strips_of_table(const PackedGroupwiseLut& w) {
  return w.lut_group_size / (kRows * w.k);
}

std::int64_t strip_bytes(const PackedGroupwiseLut& w) {
  const std::int64_t scales =
      w.has_scale ? w.k / w.scale_group_size * kRows * 4 : 0;
  return kTableEntries * 4 + scales + w.k / kColumns * kBlock * w.bits / 8 +
         (w.has_bias ? kRows * 4 : 0);
}

template <class View>
void check_fields(const PackedGroupwiseLut& w, const View& fields) {
  check_packed_field(kOp, "indices", fields.indices, DType::UInt8, {w.n, w.k});
  check_packed_field(kOp,
                     "lut",
                     fields.lut,
                     DType::Float32,
                     {lut_count(w), std::int64_t{1} << w.bits});
  check_packed_presence(kOp, "scale", w.has_scale, fields.scale.has_value());
  if (fields.scale) {
    check_packed_field(kOp,
                       "scale",
                       *fields.scale,
                       DType::Float32,
                       {w.n, w.k / w.scale_group_size});
  }
  check_packed_presence(kOp, "bias", w.has_bias, fields.bias.has_value());
  if (fields.bias) {
    check_packed_field(kOp, "bias", *fields.bias, DType::Float32, {w.n});
  }
}

// The blocks of a strip, one after the other, and its rows of indices.
struct StripBlocks {
  std::vector<std::int8_t> blocks;
  std::vector<std::uint8_t> packed;

  explicit StripBlocks(const PackedGroupwiseLut& w)
      : blocks(static_cast<std::size_t>(kRows * w.k)),
        packed(static_cast<std::size_t>(kRows * w.k * w.bits / 8)) {}
};

// Calls f(offset in the blocks, row, column) for every four indices.
template <class F>
void for_each_four(std::int64_t k, const F& f) {
  for (std::int64_t column = 0; column < k; column += 4) {
    const std::int64_t block = column / kColumns * kBlock;
    const std::int64_t part = column % kColumns / 4;
    for (int row = 0; row < kRows; ++row) {
      f(block + 16 * part + 4 * row, row, column);
    }
  }
}

// Calls f(scale group or -1, block) in the order in which they are stored.
template <class F>
void for_each_block(const PackedGroupwiseLut& w, const F& f) {
  const std::int64_t every = w.scale_group_size / kColumns;
  for (std::int64_t block = 0; block < w.k / kColumns; ++block) {
    f(w.has_scale && block % every == 0 ? block / every : -1, block);
  }
}

// Appends to the bytes of a strip, or takes from them.
class Writer {
 public:
  explicit Writer(std::byte* to) : to_(to) {}
  void put(const void* from, std::int64_t bytes) {
    std::memcpy(to_, from, static_cast<std::size_t>(bytes));
    to_ += bytes;
  }
  // Four floats, of which `rows` are `stride` apart and the others are 0.
  void put_rows(const float* from, std::int64_t stride, std::int64_t rows) {
    float values[kRows] = {};
    for (std::int64_t row = 0; row < rows; ++row) {
      values[row] = from[row * stride];
    }
    put(values, sizeof(values));
  }

 private:
  std::byte* to_;
};

class Reader {
 public:
  explicit Reader(const std::byte* from) : from_(from) {}
  void take(void* to, std::int64_t bytes) {
    std::memcpy(to, from_, static_cast<std::size_t>(bytes));
    from_ += bytes;
  }
  // The inverse of put_rows(); false when a value that must be 0 is not.
  bool take_rows(float* to, std::int64_t stride, std::int64_t rows) {
    std::uint32_t values[kRows];
    take(values, sizeof(values));
    bool zeros = true;
    for (std::int64_t row = 0; row < kRows; ++row) {
      if (row < rows) {
        std::memcpy(to + row * stride, values + row, sizeof(float));
      } else {
        zeros &= values[row] == 0;
      }
    }
    return zeros;
  }

 private:
  const std::byte* from_;
};

struct Strip {
  std::int64_t index;
  std::int64_t row;
  std::int64_t rows;
};

template <class F>
void for_each_strip(const PackedGroupwiseLut& w, int workers, const F& f) {
  const std::int64_t strips = strips_of(w);
  const std::int64_t step = units_per_task(kRows * w.k);
  WorkerPool(workers).run(
      (strips + step - 1) / step, [&](std::int64_t task, int) {
        const std::int64_t end = std::min(strips, (task + 1) * step);
        StripBlocks blocks(w);
        for (std::int64_t s = task * step; s < end; ++s) {
          const std::int64_t row = s * kRows;
          f(Strip{s, row, std::min<std::int64_t>(kRows, w.n - row)}, blocks);
        }
      });
}

bool pack_indices(const PackedGroupwiseLut& w,
                  const std::uint8_t* indices,
                  std::int64_t rows,
                  StripBlocks& to) {
  for_each_four(w.k, [&](std::int64_t at, int row, std::int64_t column) {
    std::int8_t* four = to.blocks.data() + at;
    if (row < rows) {
      std::memcpy(four, indices + row * w.k + column, 4);
    } else {
      std::memset(four, 0, 4);
    }
  });
  const PackBitsProblem problem{w.bits, kBlock, CodeRange::Index};
  return select_pack_bits(problem).run(
      problem, {to.blocks.data(), w.k / kColumns, to.packed.data()});
}

// False when an index of a row that is padding is not 0.
bool unpack_indices(const PackedGroupwiseLut& w,
                    StripBlocks& from,
                    std::int64_t rows,
                    std::uint8_t* indices) {
  const PackBitsProblem problem{w.bits, kBlock, CodeRange::Index};
  select_unpack_bits(problem).run(
      problem, {from.packed.data(), w.k / kColumns, from.blocks.data()});
  bool zeros = true;
  for_each_four(w.k, [&](std::int64_t at, int row, std::int64_t column) {
    const std::int8_t* four = from.blocks.data() + at;
    if (row < rows) {
      std::memcpy(indices + row * w.k + column, four, 4);
    } else {
      zeros &= std::all_of(four, four + 4, [](auto v) { return v == 0; });
    }
  });
  return zeros;
}

void write_strip(const PackedGroupwiseLut& w,
                 const PackedGroupwiseLutInput& in,
                 const Strip& strip,
                 const StripBlocks& blocks,
                 std::byte* to) {
  const std::int64_t entries = std::int64_t{1} << w.bits;
  const std::int64_t groups = w.k / w.scale_group_size;
  const std::int64_t block_bytes = kBlock * w.bits / 8;
  float table[kTableEntries] = {};
  std::copy_n(in.lut.as<float>() + strip.index / strips_of_table(w) * entries,
              entries,
              table);
  Writer out(to);
  out.put(table, sizeof(table));
  for_each_block(w, [&](std::int64_t group, std::int64_t block) {
    if (group >= 0) {
      out.put_rows(in.scale->as<float>() + strip.row * groups + group,
                   groups,
                   strip.rows);
    }
    out.put(blocks.packed.data() + block * block_bytes, block_bytes);
  });
  if (w.has_bias) {
    out.put_rows(in.bias->as<float>() + strip.row, 1, strip.rows);
  }
}

[[noreturn]] void throw_strip(const Strip& strip, const std::string& what) {
  throw Error(ErrorKind::Input,
              fmt::format("{}: rows from {}: {}", kOp, strip.row, what));
}

void read_strip(const PackedGroupwiseLut& w,
                const std::byte* from,
                const Strip& strip,
                StripBlocks& blocks,
                const PackedGroupwiseLutOutput& out) {
  const std::int64_t groups = w.k / w.scale_group_size;
  const std::int64_t block_bytes = kBlock * w.bits / 8;
  float table[kTableEntries];
  Reader in(from);
  in.take(table, sizeof(table));
  bool zeros = true;
  for_each_block(w, [&](std::int64_t group, std::int64_t block) {
    if (group >= 0) {
      zeros &= in.take_rows(out.scale->as<float>() + strip.row * groups + group,
                            groups,
                            strip.rows);
    }
    in.take(blocks.packed.data() + block * block_bytes, block_bytes);
  });
  if (w.has_bias) {
    zeros &= in.take_rows(out.bias->as<float>() + strip.row, 1, strip.rows);
  }
  zeros &= unpack_indices(
      w, blocks, strip.rows, out.indices.as<std::uint8_t>() + strip.row * w.k);
  if (!zeros) throw_strip(strip, "padding rows: expected zeros");
}

// The tables of all strips, each once.
void read_tables(const PackedGroupwiseLut& w,
                 const std::byte* body,
                 TensorView lut) {
  const std::int64_t entries = std::int64_t{1} << w.bits;
  for (std::int64_t s = 0; s < strips_of(w); ++s) {
    const std::byte* table = body + s * strip_bytes(w);
    std::byte* to =
        lut.data + s / strips_of_table(w) * entries * std::int64_t{4};
    const auto bytes = static_cast<std::size_t>(4 * entries);
    if (s % strips_of_table(w) == 0) std::memcpy(to, table, bytes);
    if (std::memcmp(to, table, bytes) != 0) {
      throw_strip({s, s * kRows, kRows},
                  "table: expected that of the strips before");
    }
    if (std::any_of(table + bytes, table + 4 * kTableEntries, [](std::byte b) {
          return b != std::byte{0};
        })) {
      throw_strip(
          {s, s * kRows, kRows},
          fmt::format("table: expected zeros behind {} entries", entries));
    }
  }
}

}  // namespace

std::int64_t lut_count(const PackedGroupwiseLut& w) {
  check(w);
  const std::int64_t strips = strips_of(w);
  const std::int64_t each = strips_of_table(w);
  return strips / each + (strips % each != 0);
}

std::int64_t packed_bytes(const PackedGroupwiseLut& w) {
  check(w);
  // A strip has less than 4 bytes a weight.
  checked_product(kOp, {strips_of(w), w.k, 4 * kRows});
  return kPackedHeaderBytes + strips_of(w) * strip_bytes(w);
}

void pack_groupwise_lut(const PackedGroupwiseLut& w,
                        const PackedGroupwiseLutInput& input,
                        std::span<std::byte> packed,
                        int workers) {
  const std::int64_t bytes = packed_bytes(w);
  check_fields(w, input);
  check_packed_size(kType, packed, bytes);
  write_packed_header({kType,
                       {w.bits,
                        static_cast<std::int32_t>(w.scale_group_size),
                        static_cast<std::int32_t>(w.lut_group_size),
                        w.has_scale,
                        w.has_bias,
                        kTile[0],
                        kTile[1],
                        kTile[2]}},
                      packed);
  const auto* indices = input.indices.as<std::uint8_t>();
  const auto* codes = input.indices.as<std::int8_t>();
  FirstBadCode bad;
  for_each_strip(w, workers, [&](const Strip& strip, StripBlocks& blocks) {
    const std::int64_t at = strip.row * w.k;
    if (!pack_indices(w, indices + at, strip.rows, blocks)) {
      bad.found(at +
                kernels::first_out_of_range(
                    w.bits, CodeRange::Index, codes + at, strip.rows * w.k));
      return;
    }
    write_strip(
        w,
        input,
        strip,
        blocks,
        packed.data() + kPackedHeaderBytes + strip.index * strip_bytes(w));
  });
  bad.check(kOp, "indices", codes, w.k, w.bits, CodeRange::Index);
}

PackedGroupwiseLut read_packed_groupwise_lut(std::span<const std::byte> packed,
                                             std::int64_t n,
                                             std::int64_t k) {
  const PackedHeader header = read_packed_header(packed, 8);
  if (header.type != kType) {
    throw_packed_header(header.type,
                        "type",
                        static_cast<std::int64_t>(header.type),
                        "5 (float tables)");
  }
  const auto& p = header.params;
  if (p[0] < 1 || p[0] > 4) {
    throw_packed_header(kType, "bits", p[0], "1 to 4");
  }
  PackedGroupwiseLut w{n, k, p[1], p[2], p[0]};
  w.has_scale = packed_flag(kType, "has_scales", p[3]);
  w.has_bias = packed_flag(kType, "has_bias", p[4]);
  for (std::size_t i = 0; i < kTile.size(); ++i) {
    if (p[5 + i] != kTile[i]) {
      throw_packed_header(
          kType, kTileNames[i], p[5 + i], std::to_string(kTile[i]));
    }
  }
  check_packed_size(kType, packed, packed_bytes(w));
  return w;
}

void unpack_groupwise_lut(const PackedGroupwiseLut& w,
                          std::span<const std::byte> packed,
                          const PackedGroupwiseLutOutput& output,
                          int workers) {
  const PackedGroupwiseLut found = read_packed_groupwise_lut(packed, w.n, w.k);
  if (found.bits != w.bits || found.scale_group_size != w.scale_group_size ||
      found.lut_group_size != w.lut_group_size ||
      found.has_scale != w.has_scale || found.has_bias != w.has_bias) {
    throw_usage("the weight is not the one that the header describes");
  }
  check_fields(w, output);
  const std::byte* body = packed.data() + kPackedHeaderBytes;
  read_tables(w, body, output.lut);
  for_each_strip(w, workers, [&](const Strip& strip, StripBlocks& blocks) {
    read_strip(w, body + strip.index * strip_bytes(w), strip, blocks, output);
  });
}

}  // namespace mantissa
