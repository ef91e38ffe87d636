#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checkpoint/plan.h"

namespace mantissa {

/// What is written, hashed and journalled as one: a tensor, or some matrices of
/// a large 3-D weight.
struct WorkUnit {
  std::size_t tensor = 0;  ///< index in Plan::tensors
  std::int64_t first_matrix = 0;
  std::int64_t matrices = 0;  ///< 0: the whole tensor

  bool whole() const { return matrices == 0; }
  friend bool operator==(const WorkUnit&, const WorkUnit&) = default;
  friend auto operator<=>(const WorkUnit&, const WorkUnit&) = default;
};

/// Bytes of one output file.
struct ByteRange {
  std::size_t shard = 0;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
};

/// The units of tensor `index` in order. A weight of experts above 64 MiB is
/// cut into units of about 16 MiB of the source, at least a matrix each.
std::vector<WorkUnit> work_units(const Plan& plan, std::size_t index);

/// Where the bytes of a unit stand: one range for each output of its tensor. A
/// scale that all matrices share belongs to every unit.
std::vector<ByteRange> unit_ranges(const PlannedTensor& planned,
                                   const WorkUnit& unit);

}  // namespace mantissa
