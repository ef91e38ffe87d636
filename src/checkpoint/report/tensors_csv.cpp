#include <fmt/format.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/escape.h"
#include "checkpoint/report/forms.h"

namespace mantissa::report {
namespace {

std::string hashes_of(const PlannedTensor& planned,
                      const TensorResult& result) {
  std::string out;
  for (std::size_t i = 0; i < result.xxh3.size(); ++i) {
    const std::string name =
        i < planned.outputs.size() ? planned.outputs[i].name : "";
    out += fmt::format(
        "{}{}={:016x}", out.empty() ? "" : " ", name, result.xxh3[i]);
  }
  return out;
}

// SQNR, worst matrix, its SQNR, max error: empty where nothing was measured.
std::string quality_cells(const TensorResult& result) {
  const auto worst = worst_matrix(result);
  if (!worst) return ",,,";
  const ErrorSums total = result.total();
  return fmt::format("{},{},{},{}",
                     spell_db(total.sqnr()),
                     worst->index,
                     spell_db(worst->sqnr),
                     total.max_error);
}

}  // namespace

std::string tensors_csv(const Input& input) {
  std::string out =
      "name,kind,layer,module,shape,action,reason,rule,from,to,source_bytes,"
      "output_bytes,sqnr_db,worst_matrix,worst_matrix_sqnr_db,max_error,"
      "max_weight,source_xxh3,outputs_xxh3,resumed\n";
  for (std::size_t i = 0; i < input.plan.tensors.size(); ++i) {
    const PlannedTensor& planned = input.plan.tensors[i];
    const TensorResult& result = input.result.tensors[i];
    const Place place = place_of(planned.tensor);
    out += fmt::format("{},{},{},{},{},{},{},{},",
                       csv(planned.tensor.name),
                       csv(place.kind),
                       place.layer < 0 ? "" : std::to_string(place.layer),
                       csv(place.module),
                       csv(to_string(planned.tensor.shape)),
                       name(planned.action),
                       csv(planned.reason),
                       csv(planned.rule));
    out += fmt::format(
        "{},{},{},{},{},{},{:016x},{},{}\n",
        csv(planned.stored_type),
        csv(target_name(planned)),
        planned.source_bytes,
        output_bytes(planned),
        quality_cells(result),
        is_encoded(planned) ? fmt::format("{}", result.max_weight) : "",
        result.source_xxh3,
        csv(hashes_of(planned, result)),
        result.resumed ? "yes" : "no");
  }
  return out;
}

}  // namespace mantissa::report
