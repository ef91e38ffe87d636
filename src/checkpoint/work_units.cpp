#include "checkpoint/work_units.h"

#include <algorithm>

#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/encoding.h>

namespace mantissa {
namespace {

constexpr std::int64_t kLargeTensor = std::int64_t{64} << 20;
constexpr std::int64_t kUnitBytes = std::int64_t{16} << 20;

}  // namespace

std::vector<WorkUnit> work_units(const Plan& plan, std::size_t index) {
  const PlannedTensor& planned = plan.tensors[index];
  const LoadingTensor& tensor = planned.tensor;
  const MatrixShape shape = matrix_shape(tensor.shape);
  const std::int64_t bytes = byte_count(tensor.dtype, tensor.shape);
  if (!is_encoded(planned) || shape.matrices < 2 || bytes <= kLargeTensor) {
    return {{index}};
  }
  const std::int64_t step = std::clamp<std::int64_t>(
      kUnitBytes * shape.matrices / bytes, 1, shape.matrices);
  std::vector<WorkUnit> units;
  for (std::int64_t first = 0; first < shape.matrices; first += step) {
    units.push_back({index, first, std::min(step, shape.matrices - first)});
  }
  return units;
}

std::vector<ByteRange> unit_ranges(const PlannedTensor& planned,
                                   const WorkUnit& unit) {
  std::vector<ByteRange> ranges;
  for (const FileTensor& file : planned.outputs) {
    ranges.push_back(
        {file.shard, file.offset, byte_count(file.dtype, file.shape)});
  }
  if (unit.whole()) return ranges;
  const std::int64_t rows = matrix_shape(planned.tensor.shape).rows;
  const std::int64_t last = unit.first_matrix + unit.matrices - 1;
  const EncodedRows head = planned.encoding->rows({unit.first_matrix, 0, rows});
  const EncodedRows tail = planned.encoding->rows({last, 0, rows});
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const FieldRuns& end = tail.fields[i];
    const std::int64_t begin = head.fields[i].offset;
    ranges[i].offset += begin;
    ranges[i].bytes =
        end.offset + (end.count - 1) * end.stride + end.bytes - begin;
  }
  return ranges;
}

}  // namespace mantissa
