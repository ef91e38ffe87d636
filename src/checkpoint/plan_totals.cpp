#include "checkpoint/plan_totals.h"

#include <set>

#include <fmt/format.h>

namespace mantissa {

std::int64_t output_bytes(const PlannedTensor& planned) {
  std::int64_t bytes = 0;
  for (const FileTensor& file : planned.outputs) {
    bytes += byte_count(file.dtype, file.shape);
  }
  return bytes;
}

std::string target_name(const PlannedTensor& planned) {
  if (planned.action == Action::Tie) return "";
  if (is_encoded(planned)) return std::string(planned.encoding->format_name());
  return std::string(safetensors_name(planned.tensor.dtype));
}

std::int64_t PlanTotals::count(Action action) const {
  const auto entry = counts.find(action);
  return entry == counts.end() ? 0 : entry->second;
}

double PlanTotals::bits_per_weight() const {
  return encoded_weights == 0 ? 0
                              : 8.0 * static_cast<double>(encoded_bytes) /
                                    static_cast<double>(encoded_weights);
}

PlanTotals totals_of(const Plan& plan) {
  PlanTotals totals;
  for (const PlannedTensor& planned : plan.tensors) {
    ++totals.counts[planned.action];
    if (!is_encoded(planned)) continue;
    totals.encoded_bytes += output_bytes(planned);
    totals.encoded_weights += numel(planned.tensor.shape);
  }
  return totals;
}

std::map<std::string, LoaderNote> loader_notes(const Plan& plan) {
  std::map<std::string, LoaderNote> notes;
  if (plan.loads_here_alone) {
    notes["this mix of formats"] = {.loads = "Mantissa alone", .runs = "CPU"};
    return notes;
  }
  std::set<const Encoding*> seen;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!is_encoded(planned) || !seen.insert(planned.encoding.get()).second) {
      continue;
    }
    const LoaderNote note = plan.dialect->loader_note(*planned.encoding);
    notes.emplace(
        fmt::format(
            "{}{}",
            note.format.empty() ? planned.encoding->format_name() : note.format,
            planned.tensor.shape.size() > 2 ? " (experts)" : ""),
        note);
  }
  return notes;
}

}  // namespace mantissa
