#include <mantissa/formats/packed_linear.h>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "formats/packed_header.h"
#include "formats/packed_linear_strips.h"
#include "kernels/pack_bits.h"
#include "kernels/pack_universal_args.h"

namespace mantissa {
namespace {

using kernels::CodeRange;
using kernels::kStripRows;

constexpr const char* kOp = "packed linear";
constexpr int kMaxTableBits = 4;
// The only tile that torchao registers: rows, columns, parts of a block.
constexpr std::int32_t kTile[] = {8, 16, 2};
constexpr const char* kTileNames[] = {"nr", "kr", "sr"};

PackedWeightsType type_of(const PackedLinear& w) {
  return w.luts > 0 ? PackedWeightsType::LinearInt8Lut
                    : PackedWeightsType::LinearUniversal;
}

CodeRange range_of(const PackedLinear& w) {
  return w.luts > 0 ? CodeRange::Index : CodeRange::Signed;
}

[[noreturn]] void throw_usage(const std::string& what) {
  throw Error(ErrorKind::Usage, fmt::format("{}: {}", kOp, what));
}

void check_tables(const PackedLinear& w) {
  if (w.luts < 0) {
    throw_usage(fmt::format("luts: expected 0 or more, got {}", w.luts));
  }
  if (w.luts == 0) return;
  if (w.has_zero_point) throw_usage("zero_point: none with lookup tables");
  const std::int64_t rows = w.n / w.luts;
  if (w.n % w.luts != 0 || (w.luts > 1 && rows % kStripRows != 0)) {
    throw_usage(
        fmt::format("luts: expected one table, or one for each n / luts rows, "
                    "a multiple of "
                    "8, got n = {}, luts = {}",
                    w.n,
                    w.luts));
  }
}

// The largest group of at most `group` columns, or the least, that k takes.
std::int64_t nearest_group(std::int64_t k, std::int64_t group) {
  std::int64_t out =
      std::clamp<std::int64_t>(group, 16, std::min<std::int64_t>(k, 4096)) /
      16 * 16;
  while (k % out != 0) out -= 16;
  return out;
}

void check(const PackedLinear& w) {
  const int most = w.luts > 0 ? kMaxTableBits : 8;
  if (w.bits < 1 || w.bits > most) {
    throw_usage(fmt::format("bits: expected 1 to {}, got {}", most, w.bits));
  }
  if (w.n < 1 || w.k < 1) {
    throw_usage(fmt::format(
        "expected at least one row and column, got [{}, {}]", w.n, w.k));
  }
  if (w.k % 16 != 0) {
    throw_usage(fmt::format(
        "k: expected a multiple of 16, got {}; columns of zeros make it one",
        w.k));
  }
  const std::int64_t group = w.group_size;
  if (group < 16 || group % 16 != 0 || w.k % group != 0) {
    throw_usage(
        fmt::format("group_size: expected a multiple of 16 that divides k = {} "
                    "({} does), got {}",
                    w.k,
                    nearest_group(w.k, group),
                    group));
  }
  check_tables(w);
}

template <class View>
void check_fields(const PackedLinear& w, const View& fields) {
  const Shape groups = {w.n, w.k / w.group_size};
  check_packed_field(kOp, "codes", fields.codes, DType::Int8, {w.n, w.k});
  check_packed_field(kOp, "scale", fields.scale, DType::Float32, groups);
  const auto optional = [](const char* field,
                           bool expected,
                           const auto& view,
                           DType dtype,
                           const Shape& shape) {
    check_packed_presence(kOp, field, expected, view.has_value());
    if (view) check_packed_field(kOp, field, *view, dtype, shape);
  };
  optional(
      "zero_point", w.has_zero_point, fields.zero_point, DType::Int8, groups);
  optional("bias", w.has_bias, fields.bias, DType::Float32, Shape{w.n});
  optional("lut",
           w.luts > 0,
           fields.lut,
           DType::Int8,
           Shape{w.luts, std::int64_t{1} << w.bits});
}

PackedHeader header_of(const PackedLinear& w) {
  return {type_of(w),
          {w.bits, w.has_zero_point, w.has_bias, kTile[0], kTile[1], kTile[2]}};
}

// Tasks that are runs of whole strips with one table, and last the strip that
// is not whole.
void for_each_task(const PackedLinear& w,
                   int workers,
                   const std::function<void(StripRun)>& f) {
  const std::int64_t whole = w.n / kStripRows;
  const std::int64_t table =
      w.luts > 1 ? w.n / w.luts / kStripRows : std::max<std::int64_t>(1, whole);
  const std::int64_t step = std::min(table, units_per_task(kStripRows * w.k));
  const std::int64_t steps = (table + step - 1) / step;  // a table
  const std::int64_t tables = (whole + table - 1) / table;
  const bool rest = w.n % kStripRows != 0;
  WorkerPool(workers).run(
      tables * steps + (rest ? 1 : 0), [&](std::int64_t task, int) {
        if (task == tables * steps) {
          f({whole, 1, w.n - whole * kStripRows});
          return;
        }
        const std::int64_t first = task / steps * table + task % steps * step;
        const std::int64_t end =
            std::min((task / steps + 1) * table, first + step);
        if (first < end) f({first, end - first, (end - first) * kStripRows});
      });
}

}  // namespace

std::int64_t packed_bytes(const PackedLinear& w) {
  check(w);
  // Nothing here or in any loop is larger: a strip has less than 16 bytes a
  // code (group_size is at least 16), and fields of 48 bytes.
  const std::int64_t strips = w.n / kStripRows + (w.n % kStripRows != 0);
  checked_product(kOp, {strips, w.k, kStripRows, 32});
  return kPackedHeaderBytes + strips * strip_bytes(w);
}

void pack_linear(const PackedLinear& w,
                 const PackedLinearInput& input,
                 std::span<std::byte> packed,
                 int workers) {
  const std::int64_t bytes = packed_bytes(w);
  check_fields(w, input);
  check_packed_size(type_of(w), packed, bytes);
  write_packed_header(header_of(w), packed);
  const auto* codes = input.codes.as<std::int8_t>();
  FirstBadCode bad;
  for_each_task(w, workers, [&](StripRun run) {
    const std::int64_t at = run.first * kStripRows * w.k;
    if (pack_strip_run(w, input, run, packed)) return;
    bad.found(at + kernels::first_out_of_range(
                       w.bits, range_of(w), codes + at, run.rows * w.k));
  });
  bad.check(kOp, "codes", codes, w.k, w.bits, range_of(w));
}

PackedLinear read_packed_linear(std::span<const std::byte> packed,
                                std::int64_t n,
                                std::int64_t k,
                                std::int64_t group_size,
                                std::int64_t luts) {
  const PackedHeader header = read_packed_header(packed, 6);
  const PackedWeightsType type = header.type;
  if (type == PackedWeightsType::LinearKleidiAI) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: the body is KleidiAI's own and not read; pack "
                            "it again with target='universal'",
                            kOp));
  }
  const bool tables = type == PackedWeightsType::LinearInt8Lut;
  if (!tables && type != PackedWeightsType::LinearUniversal) {
    throw_packed_header(
        type, "type", static_cast<std::int64_t>(type), "1 or 4 (linear)");
  }
  if (tables != (luts > 0)) {
    throw_usage(
        fmt::format("luts: the weight is {}, got {} tables", name(type), luts));
  }
  const int bits = header.params[0];
  const int most = tables ? kMaxTableBits : 8;
  if (bits < 1 || bits > most) {
    throw_packed_header(type, "bits", bits, fmt::format("1 to {}", most));
  }
  PackedLinear w{n, k, group_size, bits};
  w.luts = luts;
  w.has_zero_point = packed_flag(type, "has_weight_zeros", header.params[1]);
  w.has_bias = packed_flag(type, "has_bias", header.params[2]);
  if (tables && w.has_zero_point) {
    throw_packed_header(type, "has_weight_zeros", 1, "0");
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (header.params[3 + i] != kTile[i]) {
      throw_packed_header(
          type, kTileNames[i], header.params[3 + i], std::to_string(kTile[i]));
    }
  }
  check_packed_size(type, packed, packed_bytes(w));
  return w;
}

void unpack_linear(const PackedLinear& w,
                   std::span<const std::byte> packed,
                   const PackedLinearOutput& output,
                   int workers) {
  const PackedLinear found =
      read_packed_linear(packed, w.n, w.k, w.group_size, w.luts);
  if (found.bits != w.bits || found.has_zero_point != w.has_zero_point ||
      found.has_bias != w.has_bias) {
    throw_usage("the weight is not the one that the header describes");
  }
  check_fields(w, output);
  if (w.luts > 0) unpack_tables(w, packed, *output.lut);
  for_each_task(w, workers, [&](StripRun run) {
    unpack_strip_run(w, packed, run, output);
  });
}

}  // namespace mantissa
