#include "cli/progress_text.h"

#include <cmath>

#include <fmt/format.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/escape.h"
#include "checkpoint/report/facts.h"
#include "core/quoted.h"
#include "core/spell_numbers.h"
#include "core/utf8.h"

namespace mantissa::cli {

std::string status_text(const RunProgress& progress, std::int64_t peak) {
  std::string out = fmt::format("[{}/{}] {} of {}",
                                progress.tensors_done,
                                progress.tensors,
                                format_bytes(progress.bytes_done),
                                format_bytes(progress.bytes));
  const auto done = static_cast<double>(progress.bytes_done);
  if (progress.seconds > 0.05 && progress.bytes_done > 0) {
    const double speed = done / progress.seconds;
    const auto left = static_cast<double>(progress.bytes) - done;
    out += fmt::format(", {:.2f} GB/s, {} left",
                       speed / 1e9,
                       format_duration(left > 0 ? left / speed : 0));
  }
  if (peak > 0) out += ", " + format_bytes(peak) + " peak";
  if (!progress.worst_tensor.empty() && std::isfinite(progress.worst_sqnr)) {
    out += fmt::format(", worst {:.2f} dB", progress.worst_sqnr);
  }
  return out;
}

std::string tensor_line(const PlannedTensor& planned,
                        const TensorResult& result,
                        const RunProgress& progress) {
  const std::string total = std::to_string(progress.tensors);
  std::string out = fmt::format("[{:>{}}/{}] {} - {}, ",
                                progress.tensors_done,
                                total.size(),
                                total,
                                planned.tensor.name,
                                to_string(planned.tensor.shape));
  if (planned.action == Action::Tie) return printable(out + planned.reason);
  out += fmt::format("{} -> {}, {} -> {}",
                     planned.stored_type,
                     target_name(planned),
                     format_bytes(planned.source_bytes),
                     format_bytes(output_bytes(planned)));
  if (const auto worst = report::worst_matrix(result)) {
    out += fmt::format(", SQNR {} dB", report::spell_db(result.total().sqnr()));
    if (result.errors.size() > 1) {
      out += fmt::format(
          " (worst {} in [{}])", report::spell_db(worst->sqnr), worst->index);
    }
  }
  if (planned.action == Action::Skip) out += ", skipped: " + planned.reason;
  if (result.resumed) out += ", resumed";
  return printable(out);
}

std::string fitted(const std::string& line, std::size_t columns) {
  std::string_view rest = line;
  for (std::size_t i = 0; i < columns && !rest.empty(); ++i) {
    rest.remove_prefix(first_character(rest).bytes);
  }
  return line.substr(0, line.size() - rest.size());
}

}  // namespace mantissa::cli
