#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <mantissa/formats/encoding.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/loading_reader.h"
#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa::support {

/// What a run of the plan would measure, tensor by tensor in memory: each
/// weight is encoded, decoded and compared in double.
inline RunResult measured_run(const Plan& plan,
                              const CheckpointSource& source) {
  RunResult result;
  result.seconds = 1.5;
  result.peak_memory = 20'000'000;
  for (const PlannedTensor& planned : plan.tensors) {
    TensorResult& out = result.tensors.emplace_back();
    out.xxh3.assign(planned.outputs.size(), 0x1234567890abcdef);
    if (!is_encoded(planned)) continue;
    const LoadingReader reader(source, planned.tensor);
    const MatrixShape shape = reader.shape();
    HostTensor weight(planned.tensor.dtype, planned.tensor.shape);
    const std::int64_t size = shape.rows * reader.row_bytes(RowForm::Delivered);
    for (std::int64_t m = 0; m < shape.matrices; ++m) {
      reader.read({m, 0, shape.rows},
                  RowForm::Delivered,
                  {weight.data() + m * size, static_cast<std::size_t>(size)});
    }
    const HostTensor before = converted(weight.view(), DType::Float32);
    const HostTensor after =
        converted(encode(planned.encoding, weight.view()).decode().view(),
                  DType::Float32);
    out.errors.resize(static_cast<std::size_t>(shape.matrices));
    for (std::int64_t r = 0; r < shape.matrices * shape.rows; ++r) {
      ErrorSums& sums = out.errors[static_cast<std::size_t>(r / shape.rows)];
      double energy = 0;
      double most = 0;
      for (std::int64_t c = 0; c < shape.columns; ++c) {
        const double w = before.as<float>()[r * shape.columns + c];
        const double error = w - after.as<float>()[r * shape.columns + c];
        energy += w * w;
        most = std::max(most, std::abs(w));
        sums.noise += error * error;
        sums.max_error = std::max(sums.max_error, std::abs(error));
      }
      sums.signal += energy;
      sums.values += shape.columns;
      out.max_weight = std::max(out.max_weight, most);
      out.crests.add(most /
                     std::sqrt(energy / static_cast<double>(shape.columns)));
      out.scales.add(most / 127.5);
    }
  }
  return result;
}

}  // namespace mantissa::support
