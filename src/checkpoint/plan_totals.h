#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/plan.h"

namespace mantissa {

/// Bytes of a tensor's outputs, without file headers.
std::int64_t output_bytes(const PlannedTensor& planned);

/// Format or dtype that is written: "Int8Tensor", "BF16"; "" for a tie.
std::string target_name(const PlannedTensor& planned);

/// What a plan adds up to.
struct PlanTotals {
  std::map<Action, std::int64_t> counts;
  std::int64_t encoded_bytes = 0;
  std::int64_t encoded_weights = 0;

  std::int64_t count(Action action) const;
  /// Tensors that are written as an encoding.
  std::int64_t encoded() const {
    return count(Action::Quantize) + count(Action::Carry);
  }
  /// 0 when nothing is encoded.
  double bits_per_weight() const;
};

PlanTotals totals_of(const Plan& plan);

/// What loads each written format, by the format's name; experts apart.
std::map<std::string, LoaderNote> loader_notes(const Plan& plan);

}  // namespace mantissa
