#include "formats/packed_linear_strips.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include <mantissa/core/error.h>

#include "formats/packed_header.h"
#include "kernels/pack_universal.h"

namespace mantissa {
namespace {

using kernels::kStripRows;
using kernels::PackUniversalArgs;
using kernels::UnpackUniversalArgs;

constexpr const char* kOp = "packed linear";
constexpr std::int64_t kTableBytes = 16;
constexpr std::int64_t kFieldBytes = 4 * kStripRows;  // a field of a group

// The fields of one strip, with rows of zeros behind those of the weight.
struct WholeStrip {
  std::vector<std::int8_t> codes;
  std::vector<float> scale;
  std::vector<std::int8_t> zero_point;
  std::vector<float> bias;

  explicit WholeStrip(const PackedLinear& w)
      : codes(static_cast<std::size_t>(kStripRows * w.k)),
        scale(static_cast<std::size_t>(kStripRows * (w.k / w.group_size))),
        zero_point(scale.size()),
        bias(kStripRows) {}
};

std::int64_t groups_of(const PackedLinear& w) { return w.k / w.group_size; }

std::int64_t group_bytes(const PackedLinear& w) {
  return w.group_size * w.bits + kFieldBytes * (w.has_zero_point ? 3 : 2);
}

// Where the sums of group g stand in a strip.
std::int64_t sums_at(const PackedLinear& w, std::int64_t g) {
  return (w.luts > 0 ? kTableBytes : 0) + g * group_bytes(w) +
         w.group_size * w.bits + kFieldBytes;
}

kernels::PackUniversalProblem problem_of(const PackedLinear& w) {
  return {w.bits, w.luts > 0};
}

template <class Byte>
Byte* strip_at(const PackedLinear& w, std::span<Byte> packed, std::int64_t s) {
  return packed.data() + kPackedHeaderBytes + s * strip_bytes(w);
}

// The table of a strip as torchao stores it: 16 entries, those missing are 0.
std::vector<std::int8_t> table_of(const PackedLinear& w,
                                  const ConstTensorView& lut,
                                  std::int64_t strip) {
  const std::int64_t entries = std::int64_t{1} << w.bits;
  const std::int64_t table = strip * kStripRows / (w.n / w.luts);
  std::vector<std::int8_t> out(kTableBytes);
  std::copy_n(lut.as<std::int8_t>() + table * entries, entries, out.begin());
  return out;
}

void copy_rows(const PackedLinearInput& input,
               const PackedLinear& w,
               const StripRun& run,
               WholeStrip& to) {
  const std::int64_t row = run.first * kStripRows;
  const std::int64_t groups = groups_of(w);
  std::copy_n(input.codes.as<std::int8_t>() + row * w.k,
              run.rows * w.k,
              to.codes.begin());
  std::copy_n(input.scale.as<float>() + row * groups,
              run.rows * groups,
              to.scale.begin());
  if (w.has_zero_point) {
    std::copy_n(input.zero_point->as<std::int8_t>() + row * groups,
                run.rows * groups,
                to.zero_point.begin());
  }
  if (w.has_bias) {
    std::copy_n(input.bias->as<float>() + row, run.rows, to.bias.begin());
  }
}

// The rows that are no rows of the weight have sums of 0, whatever the table.
void clear_sums(const PackedLinear& w, std::int64_t rows, std::byte* strip) {
  for (std::int64_t g = 0; g < groups_of(w); ++g) {
    std::memset(strip + sums_at(w, g) + 4 * rows,
                0,
                static_cast<std::size_t>(4 * (kStripRows - rows)));
  }
}

void copy_rows(const WholeStrip& from,
               const PackedLinear& w,
               const StripRun& run,
               const PackedLinearOutput& output) {
  const std::int64_t row = run.first * kStripRows;
  const std::int64_t groups = groups_of(w);
  std::copy_n(from.codes.begin(),
              run.rows * w.k,
              output.codes.as<std::int8_t>() + row * w.k);
  std::copy_n(from.scale.begin(),
              run.rows * groups,
              output.scale.as<float>() + row * groups);
  if (w.has_zero_point) {
    std::copy_n(from.zero_point.begin(),
                run.rows * groups,
                output.zero_point->as<std::int8_t>() + row * groups);
  }
  if (w.has_bias) {
    std::copy_n(from.bias.begin(), run.rows, output.bias->as<float>() + row);
  }
}

[[noreturn]] void throw_strip(std::int64_t row,
                              std::int64_t group,
                              const std::string& what) {
  throw Error(ErrorKind::Input,
              fmt::format("{}: row {}, group {}: {}", kOp, row, group, what));
}

std::int32_t read_int(const std::byte* at) {
  std::int32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

std::int32_t sum_of(const PackedLinear& w,
                    const std::int8_t* codes,
                    const std::byte* strip) {
  const auto* table = reinterpret_cast<const std::int8_t*>(strip);
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < w.group_size; ++i) {
    sum += w.luts > 0 ? table[codes[i]] : codes[i];
  }
  return sum;
}

// Throws when a sum or zero point of the strip is not as it must be. `codes`
// are the strip's, of which `rows` rows belong to the weight.
void check_strip(const PackedLinear& w,
                 const std::byte* strip,
                 const std::int8_t* codes,
                 std::int64_t first_row,
                 std::int64_t rows) {
  for (std::int64_t g = 0; g < groups_of(w); ++g) {
    const std::byte* sums = strip + sums_at(w, g);
    for (std::int64_t row = 0; row < kStripRows; ++row) {
      const std::int32_t want =
          row < rows ? sum_of(w, codes + row * w.k + g * w.group_size, strip)
                     : 0;
      const std::int32_t got = read_int(sums + 4 * row);
      if (got != want) {
        throw_strip(first_row + row,
                    g,
                    fmt::format("sum of the codes: expected {}, got {}; the "
                                "weight is damaged",
                                want,
                                got));
      }
      if (!w.has_zero_point) continue;
      const std::int32_t zero = read_int(sums + kFieldBytes + 4 * row);
      if (zero < -128 || zero > 127) {
        throw_strip(
            first_row + row,
            g,
            fmt::format("zero point: expected -128 to 127, got {}", zero));
      }
    }
  }
}

template <class T>
bool any_bits(const std::vector<T>& values, std::int64_t from) {
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  const auto begin = static_cast<std::size_t>(from) * sizeof(T);
  return std::any_of(bytes + begin,
                     bytes + values.size() * sizeof(T),
                     [](std::byte b) { return b != std::byte{0}; });
}

void check_padding(const PackedLinear& w,
                   const WholeStrip& strip,
                   const StripRun& run) {
  const std::int64_t groups = run.rows * groups_of(w);
  if (any_bits(strip.codes, run.rows * w.k) || any_bits(strip.scale, groups) ||
      any_bits(strip.zero_point, groups) || any_bits(strip.bias, run.rows)) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: rows {} to {} are padding: expected zeros",
                            kOp,
                            w.n,
                            (run.first + 1) * kStripRows - 1));
  }
}

// A strip in which some rows are padding.
void unpack_last_strip(const PackedLinear& w,
                       const std::byte* strip,
                       const StripRun& run,
                       const PackedLinearOutput& output) {
  WholeStrip whole(w);
  UnpackUniversalArgs args{reinterpret_cast<const std::uint8_t*>(strip),
                           1,
                           w.k,
                           w.group_size,
                           whole.codes.data(),
                           whole.scale.data()};
  if (w.has_zero_point) args.zero_point = whole.zero_point.data();
  if (w.has_bias) args.bias = whole.bias.data();
  select_unpack_universal(problem_of(w)).run(problem_of(w), args);
  check_strip(w, strip, whole.codes.data(), run.first * kStripRows, run.rows);
  check_padding(w, whole, run);
  copy_rows(whole, w, run, output);
}

}  // namespace

std::int64_t strip_bytes(const PackedLinear& w) {
  return (w.luts > 0 ? kTableBytes : 0) + groups_of(w) * group_bytes(w) +
         (w.has_bias ? kFieldBytes : 0);
}

bool pack_strip_run(const PackedLinear& w,
                    const PackedLinearInput& input,
                    const StripRun& run,
                    std::span<std::byte> packed) {
  const std::int64_t row = run.first * kStripRows;
  const std::int64_t groups = groups_of(w);
  std::byte* to = strip_at(w, packed, run.first);
  PackUniversalArgs args;
  args.codes = input.codes.as<std::int8_t>() + row * w.k;
  args.scale = input.scale.as<float>() + row * groups;
  if (w.has_zero_point) {
    args.zero_point = input.zero_point->as<std::int8_t>() + row * groups;
  }
  if (w.has_bias) args.bias = input.bias->as<float>() + row;
  std::vector<std::int8_t> table;
  if (w.luts > 0) {
    table = table_of(w, *input.lut, run.first);
    args.lut = table.data();
  }
  args.strips = run.strips;
  args.k = w.k;
  args.group = w.group_size;
  args.packed = reinterpret_cast<std::uint8_t*>(to);
  args.stores = stores_for(static_cast<std::int64_t>(packed.size()));
  const auto& kernel = select_pack_universal(problem_of(w));
  if (run.rows == run.strips * kStripRows) {
    return kernel.run(problem_of(w), args);
  }
  WholeStrip whole(w);
  copy_rows(input, w, run, whole);
  args.codes = whole.codes.data();
  args.scale = whole.scale.data();
  if (w.has_zero_point) args.zero_point = whole.zero_point.data();
  if (w.has_bias) args.bias = whole.bias.data();
  const bool fits = kernel.run(problem_of(w), args);
  clear_sums(w, run.rows, to);
  return fits;
}

void unpack_strip_run(const PackedLinear& w,
                      std::span<const std::byte> packed,
                      const StripRun& run,
                      const PackedLinearOutput& output) {
  const std::byte* strip = strip_at(w, packed, run.first);
  if (run.rows != run.strips * kStripRows) {
    return unpack_last_strip(w, strip, run, output);
  }
  const std::int64_t row = run.first * kStripRows;
  const std::int64_t groups = groups_of(w);
  UnpackUniversalArgs args{reinterpret_cast<const std::uint8_t*>(strip),
                           run.strips,
                           w.k,
                           w.group_size,
                           output.codes.as<std::int8_t>() + row * w.k,
                           output.scale.as<float>() + row * groups};
  if (w.has_zero_point) {
    args.zero_point = output.zero_point->as<std::int8_t>() + row * groups;
  }
  if (w.has_bias) args.bias = output.bias->as<float>() + row;
  args.stores = stores_for(w.n * w.k);
  if (select_unpack_universal(problem_of(w)).run(problem_of(w), args)) return;
  for (std::int64_t s = 0; s < run.strips; ++s) {
    check_strip(w,
                strip + s * strip_bytes(w),
                args.codes + s * kStripRows * w.k,
                row + s * kStripRows,
                kStripRows);
  }
}

void unpack_tables(const PackedLinear& w,
                   std::span<const std::byte> packed,
                   TensorView lut) {
  const std::int64_t entries = std::int64_t{1} << w.bits;
  auto* out = lut.as<std::int8_t>();
  std::int64_t known = 0;  // tables
  for (std::int64_t s = 0; s * kStripRows < w.n; ++s) {
    const std::int64_t table = s * kStripRows / (w.n / w.luts);
    const auto* at =
        reinterpret_cast<const std::int8_t*>(strip_at(w, packed, s));
    if (table == known) std::copy_n(at, entries, out + entries * known++);
    const std::vector<std::int8_t> want = table_of(w, lut, s);
    if (!std::equal(want.begin(), want.end(), at)) {
      throw Error(
          ErrorKind::Input,
          fmt::format("{}: strip {}: table: expected that of the strips "
                      "before it, with zeros behind its {} entries",
                      kOp,
                      s,
                      entries));
    }
  }
}

}  // namespace mantissa
