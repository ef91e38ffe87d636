#include <algorithm>

#include <fmt/format.h>

#include <mantissa/core/version.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/escape.h"
#include "checkpoint/report/forms.h"
#include "checkpoint/report/html_sections.h"
#include "core/spell_numbers.h"

namespace mantissa::report {
namespace {

std::string row(const std::string& what, const std::string& value) {
  return "<tr><th scope=\"row\">" + what + "</th><td>" + value + "</td></tr>\n";
}

std::string code(std::string_view text) {
  return "<code>" + html(text) + "</code>";
}

std::string loader_rows(const Plan& plan) {
  std::string out;
  for (const auto& [format, note] : loader_notes(plan)) {
    out += row(code(format),
               html("loads in " + note.loads + "; runs on " + note.runs));
  }
  return out;
}

std::string file_rows(const Plan& plan) {
  constexpr std::size_t kMost = 100;
  std::string out;
  for (std::size_t i = 0; i < std::min(plan.shards.size(), kMost); ++i) {
    out += row(code(plan.shards[i].file),
               format_count(plan.shards[i].file_bytes) + " bytes");
  }
  if (plan.shards.size() > kMost) {
    out += row(
        "more files",
        format_count(static_cast<std::int64_t>(plan.shards.size() - kMost)));
  }
  return out;
}

std::string rule_table(const Plan& plan) {
  if (plan.rule_hits.empty()) return "";
  std::string out =
      "<h3>Rules, in order of precedence</h3>\n<table><thead><tr><th>rule</th>"
      "<th class=\"n\">tensors</th></tr></thead><tbody>\n";
  for (const RuleHits& hits : plan.rule_hits) {
    out += fmt::format(
        "<tr><td class=\"name\">{}</td><td class=\"n\">{}</td></tr>\n",
        html(hits.origin),
        format_count(hits.tensors));
  }
  return out + "</tbody></table>\n";
}

}  // namespace

std::string provenance_section(const Input& input, const Facts& facts) {
  std::string out =
      "<section><h2>Command, versions, hashes</h2>\n<pre>" +
      html(command_line(input)) +
      "</pre>\n<div class=\"scroll\"><table class=\"facts\"><tbody>\n";
  out += row("Mantissa", kVersion);
  out += row("instruction set", html(input.instruction_set));
  out +=
      row("source", code(input.source) + " (" + html(input.source_kind) + ")");
  out += row("source fingerprint, XXH3 of headers and sizes",
             code(input.fingerprint));
  out += row("output", code(input.output));
  out += row("outputs, XXH3 over the names and hashes of all stored tensors",
             code(facts.outputs_xxh3));
  if (input.result.resumed > 0) {
    out += row("resumed",
               format_count(input.result.resumed) +
                   " tensors were written by an earlier run");
  }
  out += loader_rows(input.plan) + file_rows(input.plan);
  out +=
      "</tbody></table></div>\n<p>The hash of each tensor is in "
      "<code>tensors.csv</code>. The same input, config and version give "
      "the same bytes, whatever the number of workers.</p>\n";
  out += rule_table(input.plan);
  if (!facts.quantization_config.empty()) {
    out += "<h3>quantization_config</h3>\n<pre>" +
           html_block(facts.quantization_config) + "</pre>\n";
  }
  return out + "</section>\n";
}

}  // namespace mantissa::report
