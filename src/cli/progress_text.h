#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "checkpoint/pipeline.h"
#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa::cli {

/// "[120/273] 98.2 MB of 269.0 MB, 0.61 GB/s, 0.3 s left, 21.4 MB peak, worst
/// 38.60 dB": how far a run is. What is not known yet is left out.
std::string status_text(const RunProgress& progress, std::int64_t peak);

/// "[  1/273] NAME - [576, 576], BF16 -> Int8Tensor, 663.6 kB -> 334.1 kB, SQNR
/// 41.20 dB": llama.cpp's order.
std::string tensor_line(const PlannedTensor& planned,
                        const TensorResult& result,
                        const RunProgress& progress);

/// The first `columns` characters of a line without escape sequences.
std::string fitted(const std::string& line, std::size_t columns);

}  // namespace mantissa::cli
