#include "cli/plan_run.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "checkpoint/journal.h"
#include "checkpoint/output_config.h"
#include "checkpoint/pipeline.h"
#include "checkpoint/plan_totals.h"
#include "checkpoint/report/earlier.h"
#include "checkpoint/report/facts.h"
#include "cli/plan_view.h"
#include "cli/reporting.h"
#include "cli/signals.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

// A plan with what it was made from.
struct Prepared {
  std::unique_ptr<CheckpointSource> source;
  ParsedRequest parsed;
  Plan plan;
};

Plan planned(const QuantizeOptions& options, Prepared& prepared) {
  PlanRequest& request = prepared.parsed.request;
  return prepared.parsed.size ? make_plan_within(*prepared.source,
                                                 *prepared.parsed.size,
                                                 workers_of(options),
                                                 request)
                              : make_plan(*prepared.source, request);
}

Prepared prepare(const QuantizeOptions& options,
                 ParsedRequest parsed,
                 std::unique_ptr<CheckpointSource> source) {
  Prepared out;
  out.parsed = std::move(parsed);
  out.source = std::move(source);
  out.plan = planned(options, out);
  if (options.allow_nonfinite && out.plan.problems.empty()) {
    out.parsed.request.nonfinite =
        find_nonfinite_tensors(out.plan, *out.source, workers_of(options));
    if (!out.parsed.request.nonfinite.empty()) {
      out.plan = planned(options, out);
    }
  }
  auto& warnings = out.plan.warnings;
  warnings.insert(
      warnings.begin(), out.parsed.warnings.begin(), out.parsed.warnings.end());
  return out;
}

// Words that do not fit are told before the source is opened.
Prepared prepare_quantize(const QuantizeOptions& options) {
  ParsedRequest parsed = parse_request(options);
  return prepare(options, std::move(parsed), open_source(options));
}

// What is copied at the end must be readable at the beginning.
void require_readable(const Plan& plan) {
  for (const Companion& companion : plan.companions) {
    if (companion.path.empty()) continue;
    if (::access(companion.path.c_str(), R_OK) == 0) continue;
    throw Error(
        ErrorKind::Input,
        companion.path.string() + ": cannot be read; it would be copied along");
  }
}

// Space for the shards and what is copied along.
std::int64_t bytes_needed(const Plan& plan) {
  std::int64_t bytes = plan.output_bytes;
  for (const TextFile& text : plan.texts) {
    bytes += static_cast<std::int64_t>(text.text.size());
  }
  for (const Companion& companion : plan.companions) {
    bytes += companion.path.empty()
                 ? static_cast<std::int64_t>(companion.text.size())
                 : static_cast<std::int64_t>(
                       std::filesystem::file_size(companion.path));
  }
  return bytes;
}

std::string result_json(const Plan& plan,
                        const QuantizeOptions& options,
                        const RunResult& result) {
  auto out = nlohmann::ordered_json::parse(plan_json(plan, options));
  out["output"] = options.out.string();
  out["seconds"] = result.seconds;
  out["peak_memory_bytes"] = result.peak_memory;
  out["resumed_tensors"] = result.resumed;
  const auto report = report_directory(options);
  out["report"] = report ? nlohmann::ordered_json(report->string())
                         : nlohmann::ordered_json(nullptr);
  const report::Facts facts = report::gather_facts(plan, result);
  if (!facts.measured.empty()) {
    const report::Measured& worst = facts.measured.front();
    out["sqnr_db"] = facts.total.sqnr();
    out["worst_sqnr_db"] = worst.worst.sqnr;
    out["worst_tensor"] = plan.tensors[worst.tensor].tensor.name;
  }
  return json_text(out);
}

std::string result_text(const Plan& plan,
                        const QuantizeOptions& options,
                        const RunResult& result) {
  const PlanTotals totals = totals_of(plan);
  const std::int64_t encoded = totals.encoded();
  const std::int64_t skipped = totals.count(Action::Skip);
  // Loaded, but stored with another tensor.
  const std::int64_t tied = totals.count(Action::Tie);
  const auto total = static_cast<std::int64_t>(plan.tensors.size()) - tied;
  std::string what =
      encoded + skipped == 0
          ? fmt::format("{} tensors written", total)
          : fmt::format("{} tensors quantized, {} kept, {} skipped",
                        encoded,
                        total - encoded - skipped,
                        skipped);
  if (tied > 0) what += fmt::format(", {} tied", tied);
  std::string out = fmt::format(
      "{}: {}; {} -> {} ({:.1f} %) in {:.2f} s\n",
      printable(options.out.string()),
      what,
      format_bytes(plan.source_bytes),
      format_bytes(plan.output_bytes),
      plan.source_bytes == 0 ? 0.0
                             : 100.0 * static_cast<double>(plan.output_bytes) /
                                   static_cast<double>(plan.source_bytes),
      result.seconds);
  const report::Facts facts = report::gather_facts(plan, result);
  if (!facts.measured.empty()) {
    const report::Measured& worst = facts.measured.front();
    out += fmt::format("SQNR {} dB over what is quantized; worst {} dB in {}\n",
                       report::spell_db(facts.total.sqnr()),
                       report::spell_db(worst.worst.sqnr),
                       printable(plan.tensors[worst.tensor].tensor.name));
  }
  if (const auto report = report_directory(options)) {
    out += fmt::format("report: {}\n",
                       printable((*report / "report.html").string()));
  }
  if (result.resumed > 0) {
    out += fmt::format("{} tensors were taken over from the interrupted run\n",
                       result.resumed);
  }
  for (const std::string& warning : plan.warnings) {
    out += "warning: " + printable(warning) + "\n";
  }
  return out;
}

// What the report beside a published OUT says, when --resume asks for just this
// run and the report is about these files: there is nothing left to do.
std::optional<report::Earlier> published_already(const Prepared& prepared,
                                                 const QuantizeOptions& options,
                                                 const ConfigPtr& recorded) {
  if (!options.resume || options.force || !is_published(options.out) ||
      is_published_with_journal(options.out)) {
    return {};
  }
  const auto directory = report_directory(options);
  if (!directory) return {};
  const auto earlier = report::read_earlier(*directory);
  if (!earlier || earlier->run_xxh3.empty()) return {};
  if (earlier->run_xxh3 !=
      run_identity(prepared.plan, *prepared.source, recorded)) {
    throw Error(ErrorKind::Usage,
                fmt::format("{} is complete, and the report in {} is of a run "
                            "with another input, other options or another "
                            "version: whether {} is of this one is not known. "
                            "--force replaces both",
                            options.out.string(),
                            directory->string(),
                            options.out.string()));
  }
  const auto hashes = published_hashes(prepared.plan, options.out);
  const bool same = hashes && earlier->outputs_xxh3 ==
                                  report::hash_outputs(prepared.plan, *hashes);
  return same ? earlier : std::nullopt;
}

int tell_published(const Prepared& prepared,
                   const QuantizeOptions& options,
                   const report::Earlier& earlier) {
  if (options.json) {
    auto out = nlohmann::ordered_json::parse(plan_json(prepared.plan, options));
    out["output"] = options.out.string();
    out["published_earlier"] = true;
    out["report"] = report_directory(options)->string();
    print_json(json_text(out));
  } else if (!options.quiet) {
    print_text(fmt::format("{}: complete already, nothing is left to do\n",
                           printable(options.out.string())));
  }
  std::fflush(stdout);
  if (options.min_sqnr && earlier.worst_sqnr &&
      *earlier.worst_sqnr < *options.min_sqnr) {
    throw Error(ErrorKind::Quality,
                fmt::format("--min-sqnr {}: the worst tensor lies below it: {} "
                            "{} dB. {} is complete; {} shows every tensor",
                            *options.min_sqnr,
                            printable(earlier.worst_tensor),
                            report::spell_db(*earlier.worst_sqnr),
                            options.out.string(),
                            report_directory(options)->string()));
  }
  return 0;
}

void check_places(const Prepared& prepared, const QuantizeOptions& options) {
  check_output(options.input,
               options.out,
               existing_of(options),
               bytes_needed(prepared.plan));
  check_report(options);
}

int run_prepared(Prepared& prepared, const QuantizeOptions& options) {
  require_runnable(prepared.plan);
  require_readable(prepared.plan);
  const ConfigPtr recorded =
      recorded_config(prepared.parsed.request, prepared.plan);
  if (const auto earlier = published_already(prepared, options, recorded)) {
    return tell_published(prepared, options, *earlier);
  }
  check_places(prepared, options);
  Reporting reporting(options, prepared.plan, *prepared.source);
  if (options.verbose && !options.quiet && !options.json) {
    print_text(plan_text(prepared.plan, options) + "\n");
  }
  catch_signals();
  const RunResult result = reporting.run(
      {.out = options.out,
       .existing = existing_of(options),
       .workers = workers_of(options),
       .allow_nonfinite = options.allow_nonfinite},
      [&](const RunOptions& run_options) {
        return run_plan(prepared.plan, *prepared.source, recorded, run_options);
      });
  if (options.json) {
    print_json(result_json(prepared.plan, options, result));
  } else if (!options.quiet) {
    print_text(result_text(prepared.plan, options, result));
  }
  std::fflush(stdout);
  reporting.require_quality(result);
  return 0;
}

}  // namespace

int run_plan_only(const QuantizeOptions& options) {
  Prepared prepared = prepare_quantize(options);
  if (options.json) {
    print_json(plan_json(prepared.plan, options));
  } else {
    print_text(plan_text(prepared.plan, options));
  }
  std::fflush(stdout);
  require_runnable(prepared.plan);
  require_readable(prepared.plan);
  if (!options.out.empty()) check_places(prepared, options);
  return 0;
}

int run_quantize(const QuantizeOptions& options) {
  if (options.dry_run) return run_plan_only(options);
  existing_of(options);
  Prepared prepared = prepare_quantize(options);
  return run_prepared(prepared, options);
}

int run_convert(const QuantizeOptions& options) {
  existing_of(options);
  auto source = open_source(options);
  ParsedRequest parsed = parse_convert_request(options, *source);
  Prepared prepared = prepare(options, std::move(parsed), std::move(source));
  return run_prepared(prepared, options);
}

}  // namespace mantissa::cli
