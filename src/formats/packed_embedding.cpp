#include <mantissa/formats/packed_embedding.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "formats/packed_header.h"
#include "kernels/dequantize_affine.h"
#include "kernels/pack_bits.h"

namespace mantissa {
namespace {

using kernels::CodeRange;
using kernels::PackBitsProblem;

constexpr const char* kOp = "packed embedding";
constexpr auto kType = PackedWeightsType::Embedding;
constexpr std::int32_t kVersion = 1;
constexpr std::int32_t kSmallest = 32;  // blocks of a row
constexpr std::int32_t kLargest = 128;

void check(const PackedEmbedding& e) {
  if (e.bits < 1 || e.bits > 8) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: bits: expected 1 to 8, got {}", kOp, e.bits));
  }
  if (e.rows < 1 || e.columns < 1 || e.columns % kSmallest != 0) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: expected at least one row and columns that are a "
                    "multiple of 32, got [{}, {}]; pad the columns",
                    kOp,
                    e.rows,
                    e.columns));
  }
}

std::int64_t row_bytes(const PackedEmbedding& e) {
  return e.columns / 8 * e.bits;
}

/// A run of blocks: all rows at once where one block size serves them.
struct Run {
  int block;
  std::int64_t first;   // column
  std::int64_t blocks;  // a row
};

std::vector<Run> runs_of(std::int64_t columns) {
  std::vector<Run> runs;
  std::int64_t at = 0;
  for (int block = kLargest; block >= kSmallest; block /= 2) {
    const std::int64_t blocks = (columns - at) / block;
    if (blocks > 0) runs.push_back({block, at, blocks});
    at += blocks * block;
  }
  return runs;
}

// f(run, first row, rows that lie one after the other) for rows [row, end).
template <class F>
void for_each_run(const std::vector<Run>& runs,
                  std::int64_t row,
                  std::int64_t end,
                  const F& f) {
  if (runs.size() == 1) return f(runs[0], row, end - row);
  for (; row < end; ++row) {
    for (const Run& run : runs) f(run, row, std::int64_t{1});
  }
}

// The codes of rows [row, row + rows), which `codes` begins with.
void unpack_rows(const PackedEmbedding& e,
                 const std::vector<Run>& runs,
                 const std::uint8_t* body,
                 std::pair<std::int64_t, std::int64_t> rows,
                 std::int8_t* codes,
                 kernels::Stores stores) {
  const auto [begin, end] = rows;
  for_each_run(runs, begin, end, [&](Run run, std::int64_t row, auto count) {
    const PackBitsProblem problem{e.bits, run.block, CodeRange::Signed};
    select_unpack_bits(problem).run(
        problem,
        {body + row * row_bytes(e) + run.first * e.bits / 8,
         count * run.blocks,
         codes + (row - begin) * e.columns + run.first,
         stores});
  });
}

// The packed rows of an object that is what `e` says.
const std::uint8_t* checked_body(const PackedEmbedding& e,
                                 std::span<const std::byte> packed) {
  const PackedEmbedding found =
      read_packed_embedding(packed, e.rows, e.columns);
  if (found.bits != e.bits) {
    throw_packed_header(kType, "bits", found.bits, std::to_string(e.bits));
  }
  return reinterpret_cast<const std::uint8_t*>(packed.data()) +
         kPackedHeaderBytes;
}

std::int64_t checked_groups(const PackedEmbedding& e,
                            const PackedEmbeddingGrid& grid) {
  const Shape& shape = grid.scale.shape;
  const std::int64_t groups = shape.size() == 2 ? shape[1] : 0;
  if (groups < 1 || e.columns % (groups * kSmallest) != 0) {
    throw Error(ErrorKind::Usage,
                fmt::format("{}: scale: expected [rows, groups] with groups of "
                            "a multiple of 32 columns, got {} columns and "
                            "scales [{}]",
                            kOp,
                            e.columns,
                            fmt::join(shape, ", ")));
  }
  check_packed_field(
      kOp, "scale", grid.scale, DType::Float32, {e.rows, groups});
  check_packed_field(
      kOp, "zero_point", grid.zero_point, DType::Int8, {e.rows, groups});
  return groups;
}

std::vector<std::int64_t> checked_indices(const PackedEmbedding& e,
                                          const ConstTensorView& indices) {
  const bool narrow = indices.dtype == DType::Int32;
  check_packed_field(kOp,
                     "indices",
                     indices,
                     narrow ? DType::Int32 : DType::Int64,
                     {indices.numel()});
  std::vector<std::int64_t> rows(static_cast<std::size_t>(indices.numel()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] =
        narrow ? indices.as<std::int32_t>()[i] : indices.as<std::int64_t>()[i];
    if (rows[i] < 0 || rows[i] >= e.rows) {
      throw Error(ErrorKind::Usage,
                  fmt::format("{}: indices: {} at [{}] is outside [0, {})",
                              kOp,
                              rows[i],
                              i,
                              e.rows));
    }
  }
  return rows;
}

using Rows = std::function<void(std::int64_t begin, std::int64_t end)>;

void in_tasks(const PackedEmbedding& e, int workers, const Rows& rows) {
  const std::int64_t step = units_per_task(e.columns);
  WorkerPool(workers).run(
      (e.rows + step - 1) / step, [&](std::int64_t task, int) {
        rows(task * step, std::min(e.rows, (task + 1) * step));
      });
}

}  // namespace

std::int64_t packed_bytes(const PackedEmbedding& e) {
  check(e);
  checked_product(kOp, {e.rows, e.columns, 2});
  return kPackedHeaderBytes + checked_product(kOp, {e.rows, row_bytes(e)});
}

void pack_embedding(const PackedEmbedding& e,
                    ConstTensorView codes,
                    std::span<std::byte> packed,
                    int workers) {
  const std::int64_t bytes = packed_bytes(e);
  check_packed_field(kOp, "codes", codes, DType::Int8, {e.rows, e.columns});
  check_packed_size(kType, packed, bytes);
  write_packed_header({kType, {kVersion, e.bits, kSmallest, kLargest}}, packed);
  auto* body =
      reinterpret_cast<std::uint8_t*>(packed.data()) + kPackedHeaderBytes;
  const auto runs = runs_of(e.columns);
  FirstBadCode bad;
  in_tasks(e, workers, [&](std::int64_t begin, std::int64_t end) {
    for_each_run(runs, begin, end, [&](Run run, std::int64_t row, auto rows) {
      const PackBitsProblem problem{e.bits, run.block, CodeRange::Signed};
      const std::int64_t at = row * e.columns + run.first;
      const std::int8_t* from = codes.as<std::int8_t>() + at;
      if (select_pack_bits(problem).run(
              problem,
              {from,
               rows * run.blocks,
               body + row * row_bytes(e) + run.first * e.bits / 8,
               stores_for(bytes)})) {
        return;
      }
      bad.found(
          at +
          kernels::first_out_of_range(
              e.bits, CodeRange::Signed, from, rows * run.blocks * run.block));
    });
  });
  bad.check(kOp,
            "codes",
            codes.as<std::int8_t>(),
            e.columns,
            e.bits,
            CodeRange::Signed);
}

PackedEmbedding read_packed_embedding(std::span<const std::byte> packed,
                                      std::int64_t rows,
                                      std::int64_t columns) {
  const PackedHeader header = read_packed_header(packed, 4);
  const auto [version, bits, smallest, largest] = std::array{
      header.params[0], header.params[1], header.params[2], header.params[3]};
  if (header.type != kType) {
    throw_packed_header(header.type,
                        "type",
                        static_cast<std::int64_t>(header.type),
                        "2 (embedding)");
  }
  if (version != kVersion) throw_packed_header(kType, "version", version, "1");
  if (bits < 1 || bits > 8) throw_packed_header(kType, "bits", bits, "1 to 8");
  if (smallest != kSmallest) {
    throw_packed_header(kType, "smallest block", smallest, "32");
  }
  if (largest != kLargest) {
    throw_packed_header(kType, "largest block", largest, "128");
  }
  const PackedEmbedding e{rows, columns, bits};
  check_packed_size(kType, packed, packed_bytes(e));
  return e;
}

void unpack_embedding(const PackedEmbedding& e,
                      std::span<const std::byte> packed,
                      TensorView codes,
                      int workers) {
  const std::uint8_t* body = checked_body(e, packed);
  check_packed_field(kOp, "codes", codes, DType::Int8, {e.rows, e.columns});
  const auto runs = runs_of(e.columns);
  in_tasks(e, workers, [&](std::int64_t begin, std::int64_t end) {
    unpack_rows(e,
                runs,
                body,
                {begin, end},
                codes.as<std::int8_t>() + begin * e.columns,
                stores_for(e.rows * e.columns));
  });
}

void look_up_packed_embedding(const PackedEmbedding& e,
                              std::span<const std::byte> packed,
                              const PackedEmbeddingGrid& grid,
                              ConstTensorView indices,
                              TensorView values) {
  const std::uint8_t* body = checked_body(e, packed);
  const std::int64_t groups = checked_groups(e, grid);
  const std::vector<std::int64_t> rows = checked_indices(e, indices);
  check_packed_field(
      kOp, "values", values, DType::Float32, {indices.numel(), e.columns});
  const auto runs = runs_of(e.columns);
  std::vector<std::int8_t> codes(static_cast<std::size_t>(e.columns));
  std::vector<float> zeros(static_cast<std::size_t>(groups));
  auto* out = values.as<float>();
  for (const std::int64_t row : rows) {
    unpack_rows(
        e, runs, body, {row, row + 1}, codes.data(), stores_for(e.columns));
    const auto* zero = grid.zero_point.as<std::int8_t>() + row * groups;
    std::copy(zero, zero + groups, zeros.begin());
    kernels::dequantize_affine(DType::Float32,
                               {codes.data(),
                                groups,
                                e.columns / groups,
                                grid.scale.as<float>() + row * groups,
                                zeros.data(),
                                out});
    out += e.columns;
  }
}

}  // namespace mantissa
