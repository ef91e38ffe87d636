#include "cli/plan_view.h"

#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/version.h>

#include "checkpoint/dialects/dialect.h"
#include "checkpoint/name_groups.h"
#include "checkpoint/plan_totals.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

// What must be equal for tensors to share a line.
std::string kind_of(const PlannedTensor& planned) {
  return fmt::format("{}|{}|{}|{}|{}",
                     to_string(planned.tensor.shape),
                     name(planned.action),
                     planned.stored_type,
                     target_name(planned),
                     planned.reason);
}

std::vector<NameGroup> groups_of(const Plan& plan, bool one_line_each) {
  std::vector<NamedKind> names;
  for (const PlannedTensor& planned : plan.tensors) {
    names.push_back({planned.tensor.name, kind_of(planned)});
  }
  if (!one_line_each) return group_names(names);
  std::vector<NameGroup> groups;
  for (std::size_t i = 0; i < names.size(); ++i) {
    groups.push_back({names[i].name, {i}});
  }
  return groups;
}

Table tensor_table(const Plan& plan, bool one_line_each) {
  Table table(
      {"tensor", "", "shape", "action", "from", "to", "size", "->", "reason"},
      {1, 6, 7});
  for (const NameGroup& group : groups_of(plan, one_line_each)) {
    const PlannedTensor& first = plan.tensors[group.members.front()];
    std::int64_t before = 0;
    std::int64_t after = 0;
    for (const std::size_t member : group.members) {
      before += plan.tensors[member].source_bytes;
      after += output_bytes(plan.tensors[member]);
    }
    table.add({group.pattern,
               group.members.size() > 1
                   ? fmt::format("x{}", group.members.size())
                   : "",
               to_string(first.tensor.shape),
               std::string(name(first.action)),
               first.stored_type,
               target_name(first),
               format_bytes(before),
               format_bytes(after),
               first.reason});
  }
  return table;
}

std::string summary(const Plan& plan) {
  const PlanTotals totals = totals_of(plan);
  std::string counts;
  for (const auto& [action, count] : totals.counts) {
    counts += fmt::format("{}{} {}",
                          counts.empty() ? "" : ", ",
                          name(action),
                          format_count(count));
  }
  std::string out =
      fmt::format("{} tensors: {}\n{} -> {} in {} file{}",
                  format_count(static_cast<std::int64_t>(plan.tensors.size())),
                  counts,
                  format_bytes(plan.source_bytes),
                  format_bytes(plan.output_bytes),
                  plan.shards.size(),
                  plan.shards.size() == 1 ? "" : "s");
  if (totals.encoded_weights > 0) {
    out += fmt::format("; {:.2f} bits per quantized weight",
                       totals.bits_per_weight());
  }
  if (plan.size) {
    out += fmt::format(
        "\n{} ({} bytes): {} bytes taken; predicted divergence {:.3f} nats a "
        "token, from the weights alone",
        plan.size->words,
        format_count(plan.size->bytes),
        format_count(plan.output_bytes),
        plan.size->divergence);
  }
  return out +
         fmt::format("\nmemory: at most {}\n", format_bytes(plan.memory_bytes));
}

}  // namespace

std::string plan_text(const Plan& plan, const QuantizeOptions& options) {
  std::string out = tensor_table(plan, options.verbose).text() + "\n";
  if (!plan.rule_hits.empty()) {
    Table rules({"rule, in order of precedence", "tensors"}, {1});
    for (const RuleHits& hits : plan.rule_hits) {
      rules.add({hits.origin, format_count(hits.tensors)});
    }
    out += rules.text() + "\n";
  }
  out += summary(plan);
  for (const auto& [format, note] : loader_notes(plan)) {
    out += fmt::format(
        "{}: loads in {}; runs on {}\n", format, note.loads, note.runs);
  }
  for (const std::string& warning : plan.warnings) {
    out += "warning: " + printable(warning) + "\n";
  }
  return out;
}

std::string plan_json(const Plan& plan, const QuantizeOptions& options) {
  const PlanTotals totals = totals_of(plan);
  Json out = {{"schema_version", 1},
              {"tool_version", kVersion},
              {"input", options.input.string()},
              {"architecture", plan.names.architecture},
              {"source_bytes", plan.source_bytes},
              {"output_bytes", plan.output_bytes},
              {"memory_bytes", plan.memory_bytes},
              {"bits_per_quantized_weight", totals.bits_per_weight()}};
  if (plan.size) {
    out["target"] = {{"bytes", plan.size->bytes},
                     {"predicted_divergence", plan.size->divergence}};
  }
  Json counts = Json::object();
  for (const auto& [action, count] : totals.counts) {
    counts[std::string(name(action))] = count;
  }
  out["counts"] = counts;
  out["rules"] = Json::array();
  for (const RuleHits& hits : plan.rule_hits) {
    out["rules"].push_back({{"rule", hits.origin}, {"tensors", hits.tensors}});
  }
  out["files"] = Json::array();
  for (const Shard& shard : plan.shards) {
    out["files"].push_back({{"name", shard.file}, {"bytes", shard.file_bytes}});
  }
  out["formats"] = Json::array();
  for (const auto& [format, note] : loader_notes(plan)) {
    out["formats"].push_back(
        {{"format", format}, {"loads", note.loads}, {"runs", note.runs}});
  }
  out["tensors"] = Json::array();
  for (const PlannedTensor& planned : plan.tensors) {
    Json row = {{"name", planned.tensor.name},
                {"shape", planned.tensor.shape},
                {"action", name(planned.action)},
                {"reason", planned.reason},
                {"from", planned.stored_type},
                {"to", target_name(planned)},
                {"source_bytes", planned.source_bytes},
                {"output_bytes", output_bytes(planned)}};
    if (planned.predicted_error) {
      row["predicted_error"] = *planned.predicted_error;
    }
    out["tensors"].push_back(std::move(row));
  }
  out["warnings"] = plan.warnings;
  out["problems"] = Json::array();
  for (const Problem& problem : plan.problems) {
    out["problems"].push_back(
        {{"exit_code", exit_code(problem.kind)}, {"message", problem.message}});
  }
  return json_text(out);
}

}  // namespace mantissa::cli
