#include <algorithm>

#include <fmt/format.h>

#include <mantissa/core/version.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/escape.h"
#include "checkpoint/report/forms.h"
#include "core/spell_numbers.h"

namespace mantissa::report {
namespace {

constexpr std::size_t kWorst = 10;

std::string row(const std::string& what, const std::string& value) {
  return "| " + what + " | " + value + " |\n";
}

std::string numbers(const Input& input, const Facts& facts) {
  const Plan& plan = input.plan;
  const PlanTotals totals = totals_of(plan);
  const std::int64_t encoded = totals.encoded();
  const std::int64_t skipped = totals.count(Action::Skip);
  std::string out = "| | |\n| --- | --- |\n";
  out += row("size",
             fmt::format("{} -> {}",
                         format_bytes(plan.source_bytes),
                         format_bytes(plan.output_bytes)));
  out += row(
      "tensors",
      fmt::format("{} quantized, {} kept, {} skipped",
                  format_count(encoded),
                  format_count(static_cast<std::int64_t>(plan.tensors.size()) -
                               encoded - skipped),
                  format_count(skipped)));
  if (totals.encoded_weights > 0) {
    out += row("bits per quantized weight",
               fmt::format("{:.2f}", totals.bits_per_weight()));
  }
  if (!facts.measured.empty()) {
    const Measured& worst = facts.measured.front();
    out += row("SQNR over all quantized weights", overall_quality(facts));
    out += row("worst tensor",
               fmt::format("{}, {} dB",
                           markdown(plan.tensors[worst.tensor].tensor.name),
                           spell_db(worst.worst.sqnr)));
  }
  out += row("tool", std::string("Mantissa ") + kVersion);
  out += row("source fingerprint (XXH3)", markdown(input.fingerprint));
  out += row("outputs (XXH3)", "`" + facts.outputs_xxh3 + "`");
  return out;
}

std::string kinds(const Facts& facts) {
  std::string out =
      "| layers | tensors | before | after |\n| --- | ---: | ---: | ---: |\n";
  for (const KindSize& kind : facts.kinds) {
    out += fmt::format("| {} | {} | {} | {} |\n",
                       kind.kind,
                       format_count(kind.tensors),
                       format_bytes(kind.source_bytes),
                       format_bytes(kind.output_bytes));
  }
  return out;
}

std::string worst(const Plan& plan, const Facts& facts) {
  std::string out = "| tensor | format | SQNR, dB |\n| --- | --- | ---: |\n";
  for (std::size_t i = 0; i < std::min(kWorst, facts.measured.size()); ++i) {
    const Measured& m = facts.measured[i];
    out += fmt::format("| {} | {} | {} |\n",
                       markdown(plan.tensors[m.tensor].tensor.name),
                       markdown(target_name(plan.tensors[m.tensor])),
                       spell_db(m.worst.sqnr));
  }
  return out;
}

// One line per format; nothing where nothing was encoded.
std::string loading(const Plan& plan) {
  std::string out;
  for (const auto& [format, note] : loader_notes(plan)) {
    out += fmt::format(
        "- {}: loads in {}; runs on {}\n", format, note.loads, note.runs);
  }
  return out.empty() ? "" : "Loading:\n\n" + out + "\n";
}

}  // namespace

std::string markdown_page(const Input& input, const Facts& facts) {
  std::string out = "## Quantization\n\n";
  out += "Made from " + markdown(model_name(input)) + " with\n\n" +
         markdown_block(command_line(input), "sh") + "\n";
  out += numbers(input, facts) + "\n" + loading(input.plan) + kinds(facts);
  if (!facts.measured.empty()) {
    out +=
        "\nThe worst tensors. SQNR is 10 log10 of the weights' energy over "
        "the error's,\nthe decoded codes against the source; for experts "
        "the worst expert counts.\n\n" +
        worst(input.plan, facts);
  }
  if (!facts.quantization_config.empty()) {
    out += "\n`quantization_config`:\n\n" +
           markdown_block(facts.quantization_config, "json");
  }
  return out;
}

}  // namespace mantissa::report
