#include "checkpoint/inspect.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>

#include <mantissa/core/tensor_view.h>

#include "checkpoint/quantized_reason.h"

namespace mantissa {

TensorStats tensor_stats(const LogicalCheckpoint& checkpoint,
                         const LogicalTensor& tensor) {
  TensorStats stats{.min = std::numeric_limits<double>::infinity(),
                    .max = -std::numeric_limits<double>::infinity()};
  const auto reader = checkpoint.reader(tensor);
  const std::int64_t width = row_shape(tensor.shape).width;
  std::vector<double> values;
  for_each_row_block(tensor.shape, [&](std::int64_t row, std::int64_t rows) {
    values.resize(static_cast<std::size_t>(rows * width));
    reader->read(row, rows, values);
    for (const double value : values) {
      if (!std::isfinite(value)) {
        ++stats.nonfinite;
        continue;
      }
      stats.min = std::min(stats.min, value);
      stats.max = std::max(stats.max, value);
      stats.zeros += value == 0 ? 1 : 0;
    }
  });
  if (stats.min > stats.max) stats.min = stats.max = 0;  // no finite value
  stats.absmax = std::max(std::abs(stats.min), std::abs(stats.max));
  return stats;
}

CheckpointTotals checkpoint_totals(const std::vector<LogicalTensor>& tensors) {
  CheckpointTotals totals;
  for (const LogicalTensor& tensor : tensors) {
    const std::int64_t values = numel(tensor.shape);
    ++totals.tensors;
    totals.values += values;
    totals.bytes += tensor.bytes;
    ++totals.tensors_by_type[tensor.stored];
    if (!tensor.quantized) continue;
    ++totals.quantized_tensors;
    totals.quantized_values += values;
    totals.quantized_bytes += tensor.bytes;
  }
  return totals;
}

std::string quantization_scheme(const LogicalCheckpoint& checkpoint) {
  std::set<std::string> types;
  for (const LogicalTensor& tensor : checkpoint.tensors()) {
    if (tensor.quantized) types.insert(tensor.stored);
  }
  if (!types.empty()) {
    return fmt::format("{} ({})",
                       checkpoint.dialect() != nullptr
                           ? checkpoint.dialect()->name()
                           : checkpoint.source().kind(),
                       fmt::join(types, ", "));
  }
  const std::string method = quantization_method(checkpoint.source());
  return method.empty() ? "not quantized" : method;
}

double bits_per_value(std::int64_t bytes, std::int64_t values) {
  if (values == 0) return 0;
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
}

}  // namespace mantissa
