#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/linear_lowbit.h"
#include "kernels/linear_lowbit_bf16.h"
#include "kernels/linear_lowbit_float.h"

namespace mantissa::kernels {

/// Weights [E, n, k] of E experts in the runtime layout, one behind the other:
/// n is a multiple of kLowbitTile where E > 1, so that a tile has one expert's
/// columns.
struct ExpertsView {
  LowbitWeightView all;  ///< of E * n columns
  std::int64_t experts = 1;

  /// Columns of one expert.
  std::int64_t columns() const { return all.n / experts; }
  /// Expert e alone.
  LowbitWeightView expert(std::int64_t e) const;
};

/// "" or the rule that `ends` breaks: as many as experts, from 0 to `rows`,
/// none less than the one before it.
std::string grouped_ends_error(std::span<const std::int64_t> ends,
                               std::int64_t experts,
                               std::int64_t rows);

/// The product of one weight, or of one expert, with its rows of x, and the row
/// of its table that computes it.
template <class Row, class Arguments>
struct LowbitProduct {
  using Args = Arguments;

  const Row* kernel = nullptr;
  Arguments args;
  std::int64_t workspace = 0;  ///< bytes for one thread

  std::int64_t tiles() const {
    return (args.w.n + kLowbitTile - 1) / kLowbitTile;
  }
  /// Pairs of tiles: what threads share.
  std::int64_t pairs() const { return (tiles() + 1) / 2; }
  /// What a pair takes, in rows of x: unpacking it counts as kUnpackRows.
  std::int64_t pair_cost() const {
    constexpr std::int64_t kUnpackRows = 4;
    return args.x.m + kUnpackRows;
  }
};

using LowbitInt8Product = LowbitProduct<LinearLowbitKernel, LinearLowbitArgs>;
using LowbitFloatProduct =
    LowbitProduct<LinearLowbitFloatKernel, LinearLowbitFloatArgs>;
using LowbitBf16Product =
    LowbitProduct<LinearLowbitBf16Kernel, LinearLowbitBf16Args>;

/// With the preferred row of this machine for so many rows of x.
LowbitInt8Product lowbit_product(const LinearLowbitArgs& args);
LowbitFloatProduct lowbit_product(const LinearLowbitFloatArgs& args);
LowbitBf16Product lowbit_product(const LinearLowbitBf16Args& args);

/// Columns [begin, end) of a product.
struct LowbitColumns {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The cost of all pairs of all products.
template <class Product>
std::int64_t lowbit_cost(std::span<const Product> products) {
  std::int64_t out = 0;
  for (const Product& one : products) out += one.pairs() * one.pair_cost();
  return out;
}

/// The workspace of the product that needs most.
template <class Product>
std::int64_t lowbit_workspace_bytes(std::span<const Product> products) {
  std::int64_t out = 0;
  for (const Product& one : products) out = std::max(out, one.workspace);
  return out;
}

/// The pairs that begin in [begin, end) of lowbit_cost(products), one product
/// behind the other: together every pair once, each as if it were multiplied
/// alone. `workspace`: of lowbit_workspace_bytes(products), as in
/// LinearLowbitTiles. Calls behind(i, columns) for the LowbitColumns of
/// product i when it has made them.
template <class Product, class Behind>
void run_lowbit_products(std::span<const Product> products,
                         std::int64_t begin,
                         std::int64_t end,
                         void* workspace,
                         const Behind& behind) {
  std::int64_t first = 0;  // cost before the product
  for (std::size_t i = 0; i < products.size(); ++i) {
    const Product& one = products[i];
    if (first >= end) return;
    const std::int64_t each = one.pair_cost();
    const auto pair_from = [&](std::int64_t cost) {
      return std::clamp<std::int64_t>(
          (cost - first + each - 1) / each, 0, one.pairs());
    };
    const std::int64_t from = begin <= first ? 0 : pair_from(begin);
    const std::int64_t to = pair_from(end);
    first += one.pairs() * each;
    if (from >= to) continue;
    const std::int64_t last = std::min(2 * to, one.tiles());
    one.kernel->run(one.args, {2 * from, last, workspace});
    behind(i,
           LowbitColumns{2 * from * kLowbitTile,
                         std::min(last * kLowbitTile, one.args.w.n)});
  }
}

}  // namespace mantissa::kernels
