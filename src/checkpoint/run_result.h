#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <mantissa/core/tensor_view.h>

namespace mantissa {

/// Sums over pairs (weight, what its codes decode to), in the order of the
/// weight.
struct ErrorSums {
  double signal = 0;     ///< sum of w^2
  double noise = 0;      ///< sum of (w - decoded)^2
  double max_error = 0;  ///< largest |w - decoded|
  std::int64_t values = 0;

  void add(const ErrorSums& other);
  /// 10 log10(signal / noise) in dB; infinity when nothing differs.
  double sqnr() const;
};

/// Counts of values by floor(log2 |value|): bin i holds exponent i + kLowest,
/// the ends hold everything beyond; zeros are counted apart.
struct ExponentHistogram {
  static constexpr int kLowest = -32;
  static constexpr std::size_t kBins = 64;

  std::array<std::int64_t, kBins> bins{};
  std::int64_t zeros = 0;

  void add(double value);
  void add(ConstTensorView values);
  void add(const ExponentHistogram& other);
};

/// What was measured while one tensor of the plan was written.
struct TensorResult {
  /// One per matrix: one of a 2-D weight, one an expert of a 3-D weight. Empty
  /// for tensors that are not encoded.
  std::vector<ErrorSums> errors;
  ExponentHistogram scales;  ///< of the stored scales
  /// Of max |w| / rms(w) of each row: how far its outliers reach.
  ExponentHistogram crests;
  double max_weight = 0;            ///< largest |w|
  std::vector<std::uint64_t> xxh3;  ///< of each output, in plan order
  std::uint64_t source_xxh3 = 0;    ///< of the source bytes
  bool resumed = false;             ///< written by an earlier run

  ErrorSums total() const;
};

/// What a finished run did, beside its Plan.
struct RunResult {
  std::vector<TensorResult> tensors;  ///< parallel to Plan::tensors
  double seconds = 0;                 ///< wall time of this run
  std::int64_t peak_memory = 0;       ///< bytes, largest resident set
  int workers = 1;
  std::int64_t resumed = 0;  ///< tensors taken over by --resume
  std::string identity = {};  ///< run_identity(): what it was made from
};

}  // namespace mantissa
