#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <mantissa/checkpoint/source.h>
#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/diff.h"
#include "cli/command.h"
#include "cli/number_options.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "core/quoted.h"

namespace mantissa::cli {
namespace {

constexpr std::size_t kWorst = 20;

struct DiffOptions {
  std::string a;
  std::string b;
  int threads = default_workers();
  bool all = false;
  bool json = false;
  std::optional<double> min_sqnr;
  std::string dtype = "float32";
};

std::string format_sqnr(double sqnr) {
  if (std::isfinite(sqnr)) return fmt::format("{:.2f} dB", sqnr);
  return sqnr > 0 ? "exact" : "-inf";
}

// Truncated: only equal directions print as 1.
std::string format_cosine(const TensorDiff& tensor) {
  if (tensor.differing == 0) return "1";
  return fmt::format("{:.6f}", std::floor(tensor.cosine * 1e6) / 1e6);
}

// Why the threshold is missed, "" when it is met.
std::string missed(const DiffReport& report, const DiffOptions& options) {
  if (!options.min_sqnr) return {};
  if (!report.tensors.empty() && report.tensors[0].sqnr() < *options.min_sqnr) {
    return fmt::format("{} has {}, below --min-sqnr {}",
                       quoted_name(report.tensors[0].name),
                       format_sqnr(report.tensors[0].sqnr()),
                       *options.min_sqnr);
  }
  if (!report.incomparable.empty()) {
    return fmt::format("{} cannot be compared",
                       quoted_name(report.incomparable[0].name));
  }
  if (!report.only_a.empty()) {
    return fmt::format("{} is missing in B", quoted_name(report.only_a[0]));
  }
  return {};
}

nlohmann::ordered_json finite_or_null(double value) {
  if (std::isfinite(value)) return value;
  return nullptr;
}

std::string as_json(const DiffReport& report, const std::string& missed) {
  using Json = nlohmann::ordered_json;
  Json json = {{"schema_version", 1},
               {"compared", report.tensors.size()},
               {"equal", report.equal()},
               {"total_sqnr_db", finite_or_null(report.total_sqnr())},
               {"missed", missed},
               {"only_in_a", report.only_a},
               {"only_in_b", report.only_b},
               {"incomparable", Json::array()},
               {"tensors", Json::array()}};
  for (const Incomparable& tensor : report.incomparable) {
    json["incomparable"].push_back(
        {{"name", tensor.name}, {"why", tensor.why}});
  }
  for (const TensorDiff& tensor : report.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"stored_a", tensor.stored_a},
                               {"stored_b", tensor.stored_b},
                               {"values", tensor.values},
                               {"differing", tensor.differing},
                               {"nonfinite", tensor.nonfinite},
                               {"sqnr_db", finite_or_null(tensor.sqnr())},
                               {"cosine", tensor.cosine},
                               {"max_error", tensor.max_error},
                               {"max_error_index", tensor.max_at}});
  }
  return json_text(json);
}

std::string list_names(const char* where,
                       const std::vector<std::string>& names,
                       const DiffOptions& options) {
  if (names.empty()) return {};
  std::string text = fmt::format("{} {}:\n", names.size(), where);
  const std::size_t shown =
      options.all ? names.size() : std::min(names.size(), kWorst);
  for (std::size_t i = 0; i < shown; ++i)
    text += "  " + printable(names[i]) + '\n';
  if (shown < names.size()) {
    text += fmt::format("  ... and {} more (--all)\n", names.size() - shown);
  }
  return text;
}

std::string tensor_table(const DiffReport& report, const DiffOptions& options) {
  Table table({"tensor", "A", "B", "SQNR", "cosine", "max error"}, {3, 4, 5});
  std::size_t shown = 0;
  std::size_t left = 0;
  for (const TensorDiff& tensor : report.tensors) {
    if (!options.all && (tensor.differing == 0 || shown == kWorst)) {
      ++left;
      continue;
    }
    ++shown;
    table.add({tensor.name,
               tensor.stored_a,
               tensor.stored_b,
               format_sqnr(tensor.sqnr()),
               format_cosine(tensor),
               fmt::format("{:.4g}", tensor.max_error)});
  }
  if (shown == 0) return {};
  std::string text = table.text();
  if (left > 0) text += fmt::format("... and {} more (--all)\n", left);
  return text + '\n';
}

// One row for each way a tensor is stored in A and in B.
std::string kind_table(const DiffReport& report) {
  struct Kind {
    std::int64_t tensors = 0;
    double signal = 0;
    double noise = 0;
    double worst = std::numeric_limits<double>::infinity();
    double max_error = 0;
  };
  std::map<std::pair<std::string, std::string>, Kind> kinds;
  for (const TensorDiff& tensor : report.tensors) {
    Kind& kind = kinds[{tensor.stored_a, tensor.stored_b}];
    ++kind.tensors;
    kind.signal += tensor.signal;
    kind.noise += tensor.noise;
    kind.worst = std::min(kind.worst, tensor.sqnr());
    kind.max_error = std::max(kind.max_error, tensor.max_error);
  }
  Table table({"A", "B", "tensors", "SQNR", "worst", "max error"},
              {2, 3, 4, 5});
  for (const auto& [stored, kind] : kinds) {
    TensorDiff sum;
    sum.signal = kind.signal;
    sum.noise = kind.noise;
    table.add({stored.first,
               stored.second,
               format_count(kind.tensors),
               format_sqnr(sum.sqnr()),
               format_sqnr(kind.worst),
               fmt::format("{:.4g}", kind.max_error)});
  }
  return table.text() + '\n';
}

std::string as_text(const DiffReport& report, const DiffOptions& options) {
  std::string text = tensor_table(report, options);
  if (!report.tensors.empty()) text += kind_table(report);
  std::vector<std::string> incomparable;
  for (const Incomparable& tensor : report.incomparable) {
    incomparable.push_back(tensor.name + ": " + tensor.why);
  }
  text += list_names("not comparable", incomparable, options);
  text += list_names("only in A", report.only_a, options);
  text += list_names("only in B", report.only_b, options);
  const auto compared = static_cast<std::int64_t>(report.tensors.size());
  if (compared == 0) return text + "0 tensors compared\n";
  text += report.equal() == compared
              ? fmt::format("{} tensors compared, all equal\n",
                            format_count(compared))
              : fmt::format(
                    "{} tensors compared, {} equal, SQNR {} over all values\n",
                    format_count(compared),
                    format_count(report.equal()),
                    format_sqnr(report.total_sqnr()));
  return text;
}

DType parse_dtype(const std::string& word) {
  const auto dtype = dtype_from_name(word);
  if (dtype) return *dtype;
  throw Error(ErrorKind::Usage,
              "--dtype: expected float32, bfloat16 or float16, got " +
                  quoted_name(word));
}

// Nothing compared is no answer, least of all "equal".
void require_common(const DiffReport& report, const DiffOptions& options) {
  if (!report.tensors.empty() || !report.incomparable.empty()) return;
  const auto first = [](const std::vector<std::string>& names) {
    return names.empty() ? std::string("no tensor") : quoted_name(names[0]);
  };
  throw Error(ErrorKind::Usage,
              fmt::format("diff: {} and {} have no tensor in common: A holds "
                          "{}, B holds {}",
                          options.a,
                          options.b,
                          first(report.only_a),
                          first(report.only_b)));
}

int run_diff(const DiffOptions& options) {
  const OpenOptions open{.dtype = parse_dtype(options.dtype)};
  const auto source_a = open_checkpoint(options.a, open);
  const auto source_b = open_checkpoint(options.b, open);
  const LogicalCheckpoint a(*source_a, TensorNames::Loading);
  const LogicalCheckpoint b(*source_b, TensorNames::Loading);
  const DiffReport report = diff(a, b, options.threads);
  const std::string reason = missed(report, options);
  const std::string text =
      options.json ? as_json(report, reason) : as_text(report, options);
  options.json ? print_json(text) : print_text(text);
  require_common(report, options);
  if (reason.empty()) return 0;
  throw Error(ErrorKind::Quality, "diff: " + reason);
}

}  // namespace

void add_diff_command(CLI::App& app, Run& run) {
  auto options = std::make_shared<DiffOptions>();
  CLI::App* command = app.add_subcommand(
      "diff",
      "Compare two checkpoints tensor by tensor, across formats and dtypes; "
      "exit 0 also when they differ");
  command->add_option("A", options->a, "The reference")->required();
  command->add_option("B", options->b, "What is compared with it")->required();
  command->add_flag(
      "--all", options->all, "Every tensor, not only the worst that differ");
  expect_decibels(
      *command->add_option("--min-sqnr",
                           options->min_sqnr,
                           "Exit 5 when a tensor is below this many dB, "
                           "missing in B or not comparable"));
  command
      ->add_option("--dtype",
                   options->dtype,
                   "What GGUF weights are rounded to first: float32 (not "
                   "at all), bfloat16 or float16")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Machine-readable output");
  expect_workers(*command->add_option("-j,--threads",
                                      options->threads,
                                      "Threads that read values (default: all "
                                      "processors)"));
  command->callback(
      [options, &run] { run = [options] { return run_diff(*options); }; });
}

}  // namespace mantissa::cli
