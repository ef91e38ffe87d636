#pragma once

#include <string>
#include <vector>

#include "checkpoint/plan.h"
#include "checkpoint/run_result.h"

namespace mantissa::report {

/// The experts of one 3-D weight, in order.
struct ExpertRow {
  std::size_t tensor;        ///< index in Plan::tensors
  std::vector<double> sqnr;  ///< dB, one per expert
  std::vector<double> rms;   ///< of the expert's weights
  std::size_t worst = 0;     ///< expert with the lowest SQNR
  double median_sqnr = 0;
};

/// One row per measured tensor with more than one matrix.
std::vector<ExpertRow> expert_rows(const Plan& plan, const RunResult& result);

/// experts.csv: one line per expert of each 3-D weight.
std::string experts_csv(const Plan& plan, const RunResult& result);

}  // namespace mantissa::report
