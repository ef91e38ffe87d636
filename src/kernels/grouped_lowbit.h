#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kernels/linear_lowbit.h"

namespace mantissa::kernels {

/// Weights [E, n, k] of E experts in the runtime layout, one behind the other:
/// n is a multiple of kLowbitTile, so that a tile has one expert's columns.
struct ExpertsView {
  LowbitWeightView all;  ///< of E * n columns
  std::int64_t experts = 1;

  /// Columns of one expert.
  std::int64_t columns() const { return all.n / experts; }
  /// Expert e alone.
  LowbitWeightView expert(std::int64_t e) const;
};

/// Rows [ends[e - 1], ends[e]) of y = the same rows of x times expert e,
/// transposed.
struct GroupedLowbitArgs {
  ExpertsView w;
  std::span<const std::int64_t> ends;  ///< [E], rising
  /// [E]: the rows of each expert, which has some.
  std::span<const LowbitActivations> x;
  float* y = nullptr;         ///< [rows, columns()]
  std::int64_t y_stride = 0;  ///< floats from one row to the next
};

/// "" or the rule that `ends` breaks: as many as experts, from 0 to `rows`,
/// none less than the one before it.
std::string grouped_ends_error(std::span<const std::int64_t> ends,
                               std::int64_t experts,
                               std::int64_t rows);

/// The problem of an expert with its share of the rows, among those that have
/// some; `rows` of them all.
LinearLowbitProblem grouped_lowbit_problem(const GroupedLowbitArgs& args,
                                           std::int64_t rows);

/// Pairs of tiles of the experts that have rows: what threads share.
std::int64_t grouped_lowbit_pairs(const GroupedLowbitArgs& args);

/// What a row's workspace_bytes() is for the expert that needs most, for
/// `threads` calls of run_grouped_lowbit() at a time.
std::int64_t grouped_lowbit_workspace(const LinearLowbitKernel& kernel,
                                      const GroupedLowbitArgs& args,
                                      std::int64_t threads);

/// Pairs [begin, end) by a row of linear_lowbit: each expert's rows as if they
/// were multiplied alone, to the bit. `workspace`: of
/// grouped_lowbit_workspace(kernel, args, 1) bytes, as in LinearLowbitTiles.
void run_grouped_lowbit(const LinearLowbitKernel& kernel,
                        const GroupedLowbitArgs& args,
                        std::int64_t begin,
                        std::int64_t end,
                        void* workspace);

}  // namespace mantissa::kernels
