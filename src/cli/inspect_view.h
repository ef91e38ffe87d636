#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/inspect.h"

namespace mantissa::cli {

/// What `inspect` found; stats are empty or one per tensor.
struct Inspection {
  const LogicalCheckpoint& checkpoint;
  std::vector<TensorStats> stats;
};

/// Two lines: what it is, how big, how it is quantized.
std::string inspect_summary(const Inspection& inspection);
/// One row a group of tensors that differ in layer numbers only.
std::string inspect_groups(const Inspection& inspection);
/// One row a tensor, with its statistics if there are any.
std::string inspect_rows(const Inspection& inspection);
/// The modules as a tree with sums.
std::string inspect_tree(const Inspection& inspection);
/// Everything, for machines.
std::string inspect_json(const Inspection& inspection);

}  // namespace mantissa::cli
