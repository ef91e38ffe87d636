#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/logical_checkpoint.h"

namespace mantissa {

/// How two tensors of one name differ, `b` against the reference `a`; sums are
/// taken in float64, in order. Pairs of equal values, of two NaNs too, differ
/// by nothing.
struct TensorDiff {
  std::string name;
  std::string stored_a;
  std::string stored_b;
  bool floating = true;  ///< counts in total_sqnr(); indices do not
  std::int64_t values = 0;
  std::int64_t differing = 0;
  double signal = 0;  ///< sum of a^2
  double noise = 0;   ///< sum of (a - b)^2
  double cosine = 1;
  double max_error = 0;
  std::int64_t max_at = 0;     ///< flat index of max_error
  std::int64_t nonfinite = 0;  ///< pairs where just one value is finite, or
                               ///< two different infinities stand

  /// 10 log10(signal / noise): infinity when equal, -infinity when a pair
  /// differs without a finite difference.
  double sqnr() const;
};

/// A tensor that both have but that cannot be compared.
struct Incomparable {
  std::string name;
  std::string why;
};

struct DiffReport {
  std::vector<TensorDiff> tensors;  ///< worst SQNR first, then by name
  std::vector<Incomparable> incomparable;
  std::vector<std::string> only_a;
  std::vector<std::string> only_b;

  std::int64_t equal() const;
  /// Over all values of all floating tensors.
  double total_sqnr() const;
};

/// Compares tensors of the same loading name, whatever they are stored as.
/// Throws Error(Input) when a tensor of either side is malformed or of a format
/// that this version lacks.
DiffReport diff(const LogicalCheckpoint& a,
                const LogicalCheckpoint& b,
                int workers);

}  // namespace mantissa
