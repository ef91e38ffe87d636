#include "checkpoint/report/experts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "checkpoint/report/escape.h"
#include "checkpoint/report/facts.h"

namespace mantissa::report {
namespace {

double rms_of(const ErrorSums& sums) {
  return sums.values == 0
             ? 0
             : std::sqrt(sums.signal / static_cast<double>(sums.values));
}

}  // namespace

std::vector<ExpertRow> expert_rows(const Plan& plan, const RunResult& result) {
  std::vector<ExpertRow> rows;
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    const auto& errors = result.tensors[t].errors;
    if (errors.size() < 2) continue;
    ExpertRow row{t, {}, {}};
    for (const ErrorSums& sums : errors) {
      row.sqnr.push_back(sums.sqnr());
      row.rms.push_back(rms_of(sums));
    }
    std::vector<double> sorted = row.sqnr;
    std::ranges::sort(sorted);
    row.median_sqnr = sorted[sorted.size() / 2];
    row.worst = static_cast<std::size_t>(std::ranges::min_element(row.sqnr) -
                                         row.sqnr.begin());
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string experts_csv(const Plan& plan, const RunResult& result) {
  std::string out = "name,expert,sqnr_db,weight_rms,max_error\n";
  for (const ExpertRow& row : expert_rows(plan, result)) {
    const std::string name = csv(plan.tensors[row.tensor].tensor.name);
    const auto& errors = result.tensors[row.tensor].errors;
    for (std::size_t e = 0; e < errors.size(); ++e) {
      out += fmt::format("{},{},{},{},{}\n",
                         name,
                         e,
                         spell_db(row.sqnr[e]),
                         row.rms[e],
                         errors[e].max_error);
    }
  }
  return out;
}

}  // namespace mantissa::report
