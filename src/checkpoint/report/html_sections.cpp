#include "checkpoint/report/html_sections.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <mantissa/core/version.h>

#include "checkpoint/name_groups.h"
#include "checkpoint/plan_totals.h"
#include "checkpoint/report/charts.h"
#include "checkpoint/report/escape.h"
#include "checkpoint/report/forms.h"
#include "core/spell_numbers.h"

namespace mantissa::report {
namespace {

constexpr std::size_t kWorst = 15;
constexpr std::size_t kMostExpertRows = 200;
constexpr std::size_t kMostTensorRows = 1000;

std::string name_cell(std::string_view name) {
  return "<td class=\"name\"><bdi>" + html(name) + "</bdi></td>";
}

std::string tile(const std::string& what,
                 const std::string& value,
                 const std::string& note) {
  return fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n",
                     what,
                     value,
                     note);
}

std::string percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? ""
                    : fmt::format("{:.1f} %",
                                  100 * static_cast<double>(part) /
                                      static_cast<double>(whole));
}

std::string threshold_note(const Input& input) {
  if (!input.min_sqnr) return "";
  const Missed missed =
      below_threshold(input.plan, input.result, *input.min_sqnr);
  if (missed.tensors == 0) {
    return fmt::format(
        "<p><strong>Threshold kept:</strong> every matrix has "
        "at least {} dB (<code>--min-sqnr</code>).</p>\n",
        *input.min_sqnr);
  }
  return fmt::format(
      "<p class=\"bad\"><strong>Threshold missed:</strong> {} "
      "tensors lie below {} dB (<code>--min-sqnr</code>): {}."
      "</p>\n",
      missed.tensors,
      *input.min_sqnr,
      html(missed.worst));
}

std::string worst_table(const Plan& plan, const Facts& facts) {
  std::string out =
      "<h3>The worst tensors</h3>\n<div class=\"scroll\"><table><thead><tr>"
      "<th>tensor</th><th>format</th><th class=\"wide\">shape</th>"
      "<th class=\"n\">SQNR, dB</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < std::min(kWorst, facts.measured.size()); ++i) {
    const Measured& m = facts.measured[i];
    const PlannedTensor& planned = plan.tensors[m.tensor];
    out += fmt::format(
        "<tr>{}<td>{}</td><td class=\"wide\">{}</td><td class=\"n\">{}</td>"
        "</tr>\n",
        name_cell(planned.tensor.name),
        html(target_name(planned)),
        html(to_string(planned.tensor.shape)),
        spell_db(m.worst.sqnr));
  }
  return out + "</tbody></table></div>\n";
}

// Names of tensors that own the rows of the highest crest bin.
std::string outlier_owners(const Input& input, const Facts& facts) {
  std::size_t top = ExponentHistogram::kBins;
  while (top > 0 && facts.crests.bins[top - 1] == 0) --top;
  if (top == 0) return "";
  std::vector<std::pair<std::int64_t, std::size_t>> owners;
  for (std::size_t i = 0; i < input.result.tensors.size(); ++i) {
    const std::int64_t rows = input.result.tensors[i].crests.bins[top - 1];
    if (rows > 0) owners.push_back({-rows, i});
  }
  std::ranges::sort(owners);
  std::string out;
  for (std::size_t i = 0; i < std::min<std::size_t>(owners.size(), 5); ++i) {
    out += fmt::format("{}<bdi class=\"name\">{}</bdi> ({} row{})",
                       i == 0 ? "" : ", ",
                       html(input.plan.tensors[owners[i].second].tensor.name),
                       format_count(-owners[i].first),
                       owners[i].first == -1 ? "" : "s");
  }
  if (owners.size() > 5) out += fmt::format(" and {} more", owners.size() - 5);
  return "<p>The rows with the farthest outliers are in " + out + ".</p>\n";
}

}  // namespace

std::string key_numbers_section(const Input& input, const Facts& facts) {
  const Plan& plan = input.plan;
  const PlanTotals totals = totals_of(plan);
  const std::int64_t encoded = totals.encoded();
  const std::int64_t skipped = totals.count(Action::Skip);
  const auto all = static_cast<std::int64_t>(plan.tensors.size());
  std::string out = "<dl class=\"tiles\">\n";
  out += tile("size",
              format_bytes(plan.output_bytes),
              fmt::format("from {}, {}",
                          format_bytes(plan.source_bytes),
                          percent(plan.output_bytes, plan.source_bytes)));
  out += tile("tensors quantized",
              fmt::format("{} of {}", format_count(encoded), format_count(all)),
              fmt::format("{} kept, {} skipped",
                          format_count(all - encoded - skipped),
                          format_count(skipped)));
  if (totals.encoded_weights > 0) {
    out += tile("bits per quantized weight",
                fmt::format("{:.2f}", totals.bits_per_weight()),
                format_count(totals.encoded_weights) + " weights");
  }
  if (!facts.measured.empty()) {
    out += tile("SQNR",
                overall_quality(facts),
                fmt::format("worst matrix {} dB",
                            spell_db(facts.measured.front().worst.sqnr)));
  }
  out += tile("time",
              format_duration(input.result.seconds),
              fmt::format("{} worker{}, peak memory {}",
                          input.result.workers,
                          input.result.workers == 1 ? "" : "s",
                          format_bytes(input.result.peak_memory)));
  return out + "</dl>\n" + threshold_note(input);
}

std::string size_section(const Input& input, const Facts& facts) {
  return "<section><h2>Where the bytes went</h2>\n<p>From the source to the "
         "output, one kind of layer at a time. A filled bar shrinks, a hollow "
         "one grows.</p>\n" +
         waterfall_table(input.plan, facts) + "</section>\n";
}

std::string quality_section(const Input& input, const Facts& facts) {
  if (facts.measured.empty()) {
    return "<section><h2>Quality</h2><p>Nothing was quantized, so there is no "
           "error to show.</p></section>\n";
  }
  const HeatMap map = make_heat_map(input.plan, facts);
  std::vector<double> values;
  for (const auto& cell : map.cells) {
    if (cell) values.push_back(cell->sqnr);
  }
  std::string out =
      "<section><h2>Quality by layer and module</h2>\n<p>SQNR in dB: the "
      "energy of the weights over that of their error, the decoded codes "
      "against the source. More is better, 6 dB is a factor of two; darker "
      "is worse. A cell shows its worst matrix.";
  if (map.pooled_rows) out += " Neighbouring layers share a row.";
  if (map.pooled_columns) out += " Modules beyond 23 share the last column.";
  out += "</p>\n" + colour_key_svg(range_of(values));
  return out + "<div class=\"pair\"><div class=\"scroll\">" +
         heat_map_svg(map) + "</div>\n<div class=\"rest\">" +
         worst_table(input.plan, facts) + "</div></div></section>\n";
}

std::string histogram_section(const Input& input, const Facts& facts) {
  if (facts.measured.empty()) return "";
  std::string out =
      "<section><h2>Scales and outliers</h2>\n<div "
      "class=\"pair\">\n";
  out +=
      "<figure><figcaption>Stored scales by power of two. A long tail to "
      "the right is a few groups with large weights.";
  if (facts.scales.zeros > 0) {
    out +=
        fmt::format(" {} scales are zero.", format_count(facts.scales.zeros));
  }
  out += "</figcaption><div class=\"scroll\">" +
         histogram_svg(facts.scales, "Scales by power of two", false) +
         "</div></figure>\n";
  out +=
      "<figure><figcaption>Rows by crest factor, max |w| / rms(w). About 4 "
      "is a bell curve; one far outlier costs the rest of its row "
      "precision.</figcaption><div class=\"scroll\">" +
      histogram_svg(facts.crests, "Rows by crest factor", true) +
      "</div></figure>\n</div>\n";
  return out + outlier_owners(input, facts) + "</section>\n";
}

std::string expert_section(const Input& input) {
  const std::vector<ExpertRow> rows = expert_rows(input.plan, input.result);
  if (rows.empty()) return "";
  std::vector<double> values;
  for (const ExpertRow& row : rows) {
    values.insert(values.end(), row.sqnr.begin(), row.sqnr.end());
  }
  const Range range = range_of(values);
  std::string out =
      "<section><h2>Experts</h2>\n<p>One cell per expert: its SQNR, and the "
      "rms of its weights against the largest. This is the shape of the "
      "weights. How often the router takes an expert comes from running text "
      "through the model (calibration), which this run did not do.</p>\n" +
      colour_key_svg(range) +
      "<div class=\"scroll\"><table class=\"experts\"><thead><tr>"
      "<th>tensor</th><th>SQNR</th><th>weights</th><th class=\"n\">worst, dB"
      "</th><th class=\"n wide\">median, dB</th></tr></thead><tbody>\n";
  for (std::size_t i = 0; i < std::min(rows.size(), kMostExpertRows); ++i) {
    const ExpertRow& row = rows[i];
    out += fmt::format(
        "<tr>{}<td class=\"plot\">{}</td><td class=\"plot\">{}</td>"
        "<td class=\"n\">{} <small>#{}</small></td><td class=\"n wide\">{}</td>"
        "</tr>\n",
        name_cell(input.plan.tensors[row.tensor].tensor.name),
        expert_strip_svg(row, range),
        expert_rms_svg(row),
        spell_db(row.sqnr[row.worst]),
        row.worst,
        spell_db(row.median_sqnr));
  }
  out += "</tbody></table></div>\n";
  if (rows.size() > kMostExpertRows) {
    out += fmt::format(
        "<p>The first {} of {}.</p>\n", kMostExpertRows, rows.size());
  }
  return out +
         "<p>Every number is in <code>experts.csv</code>.</p></section>\n";
}

std::string decision_section(const Input& input) {
  std::vector<NamedKind> names;
  for (const PlannedTensor& planned : input.plan.tensors) {
    names.push_back({planned.tensor.name,
                     fmt::format("{}|{}|{}",
                                 name(planned.action),
                                 target_name(planned),
                                 planned.reason)});
  }
  std::string out =
      "<section><h2>What happened to every tensor, and why</h2>\n<div "
      "class=\"scroll\"><table><thead><tr><th>tensors</th><th class=\"n\"></th>"
      "<th>action</th><th>to</th><th>reason</th></tr></thead><tbody>\n";
  const std::vector<NameGroup> groups = group_names(names);
  for (std::size_t i = 0; i < std::min(groups.size(), kMostTensorRows); ++i) {
    const NameGroup& group = groups[i];
    const PlannedTensor& first = input.plan.tensors[group.members.front()];
    out += fmt::format(
        "<tr>{}<td class=\"n\">{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td></tr>\n",
        name_cell(group.pattern),
        format_count(static_cast<std::int64_t>(group.members.size())),
        name(first.action),
        html(target_name(first)),
        html(first.reason));
  }
  out += "</tbody></table></div>\n";
  for (const std::string& warning : input.plan.warnings) {
    out += "<p><strong>Warning:</strong> " + html(warning) + "</p>\n";
  }
  return out + "</section>\n";
}

std::string tensor_section(const Input& input) {
  const std::size_t all = input.plan.tensors.size();
  std::string out = fmt::format(
      "<section><details><summary>All {} tensors</summary>\n<div "
      "class=\"scroll\"><table><thead><tr><th>tensor</th><th>shape</th>"
      "<th>from</th><th>to</th><th class=\"n\">before</th><th class=\"n\">"
      "after</th><th class=\"n\">SQNR, dB</th></tr></thead><tbody>\n",
      format_count(static_cast<std::int64_t>(all)));
  for (std::size_t i = 0; i < std::min(all, kMostTensorRows); ++i) {
    const PlannedTensor& planned = input.plan.tensors[i];
    const auto worst = worst_matrix(input.result.tensors[i]);
    out += fmt::format(
        "<tr>{}<td>{}</td><td>{}</td><td>{}</td><td class=\"n\">"
        "{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "</tr>\n",
        name_cell(planned.tensor.name),
        html(to_string(planned.tensor.shape)),
        html(planned.stored_type),
        html(target_name(planned)),
        format_bytes(planned.source_bytes),
        format_bytes(output_bytes(planned)),
        worst ? spell_db(worst->sqnr) : "");
  }
  out += "</tbody></table></div>\n";
  if (all > kMostTensorRows) {
    out += fmt::format(
        "<p>The first {}; all are in <code>tensors.csv</code>."
        "</p>\n",
        kMostTensorRows);
  }
  return out + "</details></section>\n";
}

}  // namespace mantissa::report
