#include <mantissa/formats/packed_embedding.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "formats/packed_header.h"
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
  const PackedEmbedding found =
      read_packed_embedding(packed, e.rows, e.columns);
  if (found.bits != e.bits) {
    throw_packed_header(kType, "bits", found.bits, std::to_string(e.bits));
  }
  check_packed_field(kOp, "codes", codes, DType::Int8, {e.rows, e.columns});
  const auto* body =
      reinterpret_cast<const std::uint8_t*>(packed.data()) + kPackedHeaderBytes;
  const auto runs = runs_of(e.columns);
  in_tasks(e, workers, [&](std::int64_t begin, std::int64_t end) {
    for_each_run(runs, begin, end, [&](Run run, std::int64_t row, auto rows) {
      const PackBitsProblem problem{e.bits, run.block, CodeRange::Signed};
      select_unpack_bits(problem).run(
          problem,
          {body + row * row_bytes(e) + run.first * e.bits / 8,
           rows * run.blocks,
           codes.as<std::int8_t>() + row * e.columns + run.first,
           stores_for(e.rows * e.columns)});
    });
  });
}

}  // namespace mantissa
