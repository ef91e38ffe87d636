#include "cli/plan_view.h"

#include <cctype>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/version.h>

#include "checkpoint/loaders.h"
#include "cli/table.h"

namespace mantissa::cli {
namespace {

using Json = nlohmann::ordered_json;

std::int64_t output_bytes(const PlannedTensor& planned) {
  std::int64_t bytes = 0;
  for (const FileTensor& file : planned.outputs) {
    bytes += byte_count(file.dtype, file.shape);
  }
  return bytes;
}

// "model.layers.17.mlp" -> "model.layers.*.mlp".
std::string without_numbers(const std::string& name) {
  std::string out;
  std::size_t begin = 0;
  while (begin <= name.size()) {
    std::size_t end = name.find('.', begin);
    if (end == std::string::npos) end = name.size();
    const std::string part = name.substr(begin, end - begin);
    const bool number =
        !part.empty() && part.find_first_not_of("0123456789") ==
                             std::string::npos;
    out += (begin > 0 ? "." : "") + (number ? std::string("*") : part);
    begin = end + 1;
  }
  return out;
}

std::string target_of(const PlannedTensor& planned) {
  if (planned.action == Action::Tie) return "";
  if (is_encoded(planned)) return std::string(planned.encoding->format_name());
  return std::string(safetensors_name(planned.tensor.dtype));
}

struct Group {
  std::int64_t count = 0;
  std::int64_t source_bytes = 0;
  std::int64_t output_bytes = 0;
  const PlannedTensor* first = nullptr;
};

Table tensor_table(const Plan& plan, bool one_line_each) {
  std::vector<std::pair<std::string, Group>> groups;
  std::map<std::string, std::size_t> index;
  for (const PlannedTensor& planned : plan.tensors) {
    const std::string shown = one_line_each
                                  ? planned.tensor.name
                                  : without_numbers(planned.tensor.name);
    const std::string key =
        fmt::format("{}|{}|{}|{}|{}", shown, to_string(planned.tensor.shape),
                    name(planned.action), target_of(planned), planned.reason);
    const auto [at, added] = index.emplace(key, groups.size());
    if (added) groups.push_back({shown, {}});
    Group& group = groups[at->second].second;
    if (group.first == nullptr) group.first = &planned;
    ++group.count;
    group.source_bytes += planned.source_bytes;
    group.output_bytes += output_bytes(planned);
  }
  Table table({"count", "tensor", "shape", "action", "from", "to", "size",
               "->", "reason"},
              {0, 6, 7});
  for (const auto& [shown, group] : groups) {
    table.add({std::to_string(group.count),
               shown,
               to_string(group.first->tensor.shape),
               std::string(name(group.first->action)),
               group.first->stored_type,
               target_of(*group.first),
               format_bytes(group.source_bytes),
               format_bytes(group.output_bytes),
               group.first->reason});
  }
  return table;
}

std::map<std::string, LoaderNote> notes_of(const Plan& plan) {
  std::map<std::string, LoaderNote> notes;
  std::set<const Encoding*> seen;
  for (const PlannedTensor& planned : plan.tensors) {
    if (!is_encoded(planned) || !seen.insert(planned.encoding.get()).second) {
      continue;
    }
    const LoaderNote note = loader_note(*planned.encoding);
    notes.emplace(fmt::format("{}{}", planned.encoding->format_name(),
                              planned.tensor.shape.size() > 2 ? " (experts)"
                                                              : ""),
                  note);
  }
  return notes;
}

struct Totals {
  std::map<Action, std::int64_t> counts;
  std::int64_t encoded_bytes = 0;
  std::int64_t encoded_weights = 0;
};

Totals totals_of(const Plan& plan) {
  Totals totals;
  for (const PlannedTensor& planned : plan.tensors) {
    ++totals.counts[planned.action];
    if (!is_encoded(planned)) continue;
    totals.encoded_bytes += output_bytes(planned);
    totals.encoded_weights += numel(planned.tensor.shape);
  }
  return totals;
}

double bits_per_weight(const Totals& totals) {
  return totals.encoded_weights == 0
             ? 0
             : 8.0 * static_cast<double>(totals.encoded_bytes) /
                   static_cast<double>(totals.encoded_weights);
}

std::string summary(const Plan& plan) {
  const Totals totals = totals_of(plan);
  std::string counts;
  for (const auto& [action, count] : totals.counts) {
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", name(action),
                          format_count(count));
  }
  std::string out = fmt::format(
      "{} tensors: {}\n{} -> {} in {} file{}",
      format_count(static_cast<std::int64_t>(plan.tensors.size())), counts,
      format_bytes(plan.source_bytes), format_bytes(plan.output_bytes),
      plan.shards.size(), plan.shards.size() == 1 ? "" : "s");
  if (totals.encoded_weights > 0) {
    out += fmt::format("; {:.2f} bits per quantized weight",
                       bits_per_weight(totals));
  }
  return out + "\n";
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
  for (const auto& [format, note] : notes_of(plan)) {
    out += fmt::format("{}: loads in {}; runs on {}\n", format, note.loads,
                       note.runs);
  }
  for (const std::string& warning : plan.warnings) {
    out += "warning: " + warning + "\n";
  }
  return out;
}

std::string plan_json(const Plan& plan, const QuantizeOptions& options) {
  const Totals totals = totals_of(plan);
  Json out = {{"schema_version", 1},
              {"tool_version", kVersion},
              {"input", options.input.string()},
              {"architecture", plan.names.architecture},
              {"source_bytes", plan.source_bytes},
              {"output_bytes", plan.output_bytes},
              {"bits_per_quantized_weight", bits_per_weight(totals)}};
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
  for (const auto& [format, note] : notes_of(plan)) {
    out["formats"].push_back(
        {{"format", format}, {"loads", note.loads}, {"runs", note.runs}});
  }
  out["tensors"] = Json::array();
  for (const PlannedTensor& planned : plan.tensors) {
    out["tensors"].push_back({{"name", planned.tensor.name},
                              {"shape", planned.tensor.shape},
                              {"action", name(planned.action)},
                              {"reason", planned.reason},
                              {"from", planned.stored_type},
                              {"to", target_of(planned)},
                              {"source_bytes", planned.source_bytes},
                              {"output_bytes", output_bytes(planned)}});
  }
  out["warnings"] = plan.warnings;
  out["problems"] = Json::array();
  for (const Problem& problem : plan.problems) {
    out["problems"].push_back({{"exit_code", exit_code(problem.kind)},
                               {"message", problem.message}});
  }
  return out.dump(2) + "\n";
}

}  // namespace mantissa::cli
