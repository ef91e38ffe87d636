#include <nlohmann/json.hpp>

#include <mantissa/core/version.h>

#include "checkpoint/plan_totals.h"
#include "checkpoint/report/experts.h"
#include "checkpoint/report/forms.h"
#include "checkpoint/report/heat_map.h"

namespace mantissa::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchemaVersion = 1;
constexpr std::size_t kWorst = 20;

Json counts_json(const PlanTotals& totals) {
  Json counts = Json::object();
  for (const Action action : {Action::Quantize,
                              Action::Carry,
                              Action::Keep,
                              Action::Cast,
                              Action::Skip,
                              Action::Tie}) {
    counts[std::string(name(action))] = totals.count(action);
  }
  return counts;
}

Json histogram_json(const ExponentHistogram& histogram) {
  Json bins = Json::array();
  for (std::size_t i = 0; i < histogram.bins.size(); ++i) {
    if (histogram.bins[i] == 0) continue;
    bins.push_back(
        {{"exponent", static_cast<int>(i) + ExponentHistogram::kLowest},
         {"count", histogram.bins[i]}});
  }
  return {{"zeros", histogram.zeros}, {"bins", bins}};
}

Json worst_json(const Input& input, const Facts& facts) {
  Json worst = Json::array();
  for (const Measured& m : facts.measured) {
    if (worst.size() == kWorst) break;
    worst.push_back({{"name", input.plan.tensors[m.tensor].tensor.name},
                     {"sqnr_db", m.sqnr},
                     {"worst_matrix", m.worst.index},
                     {"worst_matrix_sqnr_db", m.worst.sqnr}});
  }
  return worst;
}

// An exact tensor has no finite SQNR: JSON says null.
Json quality_json(const Input& input, const Facts& facts) {
  Json quality = {{"measured_tensors", facts.measured.size()},
                  {"sqnr_db", nullptr},
                  {"max_error", facts.total.max_error},
                  {"worst", worst_json(input, facts)},
                  {"min_sqnr_db", nullptr},
                  {"below_min_sqnr", nullptr}};
  if (!facts.measured.empty()) quality["sqnr_db"] = facts.total.sqnr();
  if (input.min_sqnr) {
    quality["min_sqnr_db"] = *input.min_sqnr;
    quality["below_min_sqnr"] =
        below_threshold(input.plan, input.result, *input.min_sqnr).tensors;
  }
  return quality;
}

Json heat_map_json(const Input& input, const Facts& facts) {
  const HeatMap map = make_heat_map(input.plan, facts);
  Json rows = Json::array();
  for (std::size_t r = 0; r < map.rows.size(); ++r) {
    Json row = Json::array();
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const auto& cell = map.at(r, c);
      row.push_back(cell ? Json(cell->sqnr) : Json(nullptr));
    }
    rows.push_back(std::move(row));
  }
  return {{"layers", map.rows}, {"modules", map.columns}, {"sqnr_db", rows}};
}

Json experts_json(const Input& input) {
  Json out = Json::array();
  for (const ExpertRow& row : expert_rows(input.plan, input.result)) {
    out.push_back({{"name", input.plan.tensors[row.tensor].tensor.name},
                   {"experts", row.sqnr.size()},
                   {"worst_expert", row.worst},
                   {"worst_sqnr_db", row.sqnr[row.worst]},
                   {"median_sqnr_db", row.median_sqnr}});
  }
  return out;
}

Json kinds_json(const Facts& facts) {
  Json kinds = Json::array();
  for (const KindSize& kind : facts.kinds) {
    kinds.push_back({{"kind", kind.kind},
                     {"tensors", kind.tensors},
                     {"source_bytes", kind.source_bytes},
                     {"output_bytes", kind.output_bytes}});
  }
  return kinds;
}

}  // namespace

std::string summary_json(const Input& input, const Facts& facts) {
  const Plan& plan = input.plan;
  const PlanTotals totals = totals_of(plan);
  Json out = {{"schema_version", kSchemaVersion},
              {"tool", "mantissa"},
              {"tool_version", kVersion},
              {"command", input.command},
              {"input", input.source},
              {"output", input.output},
              {"architecture", plan.names.architecture},
              {"source_kind", input.source_kind},
              {"source_fingerprint", input.fingerprint},
              {"run_xxh3", input.result.identity},
              {"outputs_xxh3", facts.outputs_xxh3},
              {"instruction_set", input.instruction_set},
              {"workers", input.result.workers},
              {"seconds", input.result.seconds},
              {"peak_memory_bytes", input.result.peak_memory},
              {"resumed_tensors", input.result.resumed},
              {"source_bytes", plan.source_bytes},
              {"output_bytes", plan.output_bytes},
              {"bits_per_quantized_weight", totals.bits_per_weight()},
              {"counts", counts_json(totals)},
              {"kinds", kinds_json(facts)},
              {"quality", quality_json(input, facts)},
              {"heat_map", heat_map_json(input, facts)},
              {"scales", histogram_json(facts.scales)},
              {"row_crests", histogram_json(facts.crests)},
              {"experts", experts_json(input)},
              {"rules", Json::array()},
              {"files", Json::array()},
              {"warnings", plan.warnings},
              {"quantization_config", nullptr}};
  for (const RuleHits& hits : plan.rule_hits) {
    out["rules"].push_back({{"rule", hits.origin}, {"tensors", hits.tensors}});
  }
  for (const Shard& shard : plan.shards) {
    out["files"].push_back({{"name", shard.file}, {"bytes", shard.file_bytes}});
  }
  if (!facts.quantization_config.empty()) {
    out["quantization_config"] = Json::parse(facts.quantization_config);
  }
  // A path or word that is not UTF-8 gets replacement characters.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mantissa::report
