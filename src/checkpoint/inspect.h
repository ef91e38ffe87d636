#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>

#include "checkpoint/logical_checkpoint.h"
#include "checkpoint/name_groups.h"

namespace mantissa {

/// What the values of a tensor look like; non-finite ones count apart.
struct TensorStats {
  double min = 0;
  double max = 0;
  double absmax = 0;
  std::int64_t zeros = 0;
  std::int64_t nonfinite = 0;
};

/// The statistics of one tensor. Throws as LogicalCheckpoint::reader().
TensorStats tensor_stats(const LogicalCheckpoint& checkpoint,
                         const LogicalTensor& tensor);

/// Sums over a checkpoint.
struct CheckpointTotals {
  std::int64_t tensors = 0;
  std::int64_t values = 0;
  std::int64_t bytes = 0;
  std::int64_t quantized_tensors = 0;
  std::int64_t quantized_values = 0;
  std::int64_t quantized_bytes = 0;
  std::map<std::string, std::int64_t> tensors_by_type;  ///< "BF16" -> 61
};
CheckpointTotals checkpoint_totals(const std::vector<LogicalTensor>& tensors);

/// "torchao (Int8Tensor)", "gptq", "GGUF (Q4_1, Q8_0)", "not quantized".
std::string quantization_scheme(const LogicalCheckpoint& checkpoint);

/// Bits per value, 0 for a tensor without values.
double bits_per_value(std::int64_t bytes, std::int64_t values);

/// Tensors whose names differ in numbers only and that are stored alike.
std::vector<NameGroup> group_tensors(const std::vector<LogicalTensor>& tensors);

}  // namespace mantissa
