#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mantissa/checkpoint/source.h>
#include <mantissa/configs/name_rules.h>

#include "checkpoint/output_directory.h"
#include "checkpoint/plan.h"
#include "checkpoint/size_target.h"

namespace CLI {
class App;
}

namespace mantissa::cli {

/// The words that `plan`, `quantize` and `convert` share.
struct QuantizeOptions {
  std::filesystem::path input;
  std::filesystem::path out;
  std::string config;
  std::string scheme;
  std::string format;
  std::int64_t group_size = 0;  ///< 0: not given
  std::string target_size;      ///< empty: not given
  std::optional<double> target_bpw;
  std::vector<std::string> ignore;
  std::vector<std::string> tensor_types;
  std::vector<std::filesystem::path> tensor_type_files;
  std::string dtype;
  std::string shard_size = "5GB";
  std::string max_memory;  ///< empty: no bound
  int workers = 0;         ///< 0: not given
  bool allow_skipped = false;
  bool allow_unknown_names = false;
  bool allow_private_format = false;
  bool allow_unloadable = false;
  bool allow_nonfinite = false;
  bool dry_run = false;
  bool convert = false;  ///< a quantized source is decoded or carried over
  bool force = false;
  bool restart = false;
  bool resume = false;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  std::filesystem::path report;    ///< empty: not given
  bool report_by_default = false;  ///< a report also without --report
  bool no_report = false;
  bool no_progress = false;
  std::string color = "auto";
  std::optional<double> min_sqnr;
};

/// Options about the source and how it is delivered.
void add_source_options(CLI::App& command, QuantizeOptions& options);
/// -c, rules and permissions.
void add_config_options(CLI::App& command, QuantizeOptions& options);
/// -j.
void add_workers_option(CLI::App& command, QuantizeOptions& options);
/// -o and what may stand there.
void add_output_options(CLI::App& command, QuantizeOptions& options);
/// Flags whose feature is not in this version: exit 2 says so.
void add_later_options(CLI::App& command);

/// What the words mean: rules, the request and the warnings on the way.
struct ParsedRequest {
  std::unique_ptr<RuleSet> rules;
  std::optional<SizeTarget> size;  ///< choose the bits of each weight
  PlanRequest request;
  std::vector<std::string> warnings;
};

/// Rules and request from the words. Throws Error(Usage).
ParsedRequest parse_request(const QuantizeOptions& options);

/// What `convert` does to an opened source: without --format, or with "plain",
/// quantized tensors are decoded; else they are carried over into that dialect.
/// Throws Error(Usage).
ParsedRequest parse_convert_request(const QuantizeOptions& options,
                                    const CheckpointSource& source);

/// Opens the source in the dtype that --dtype asks for.
std::unique_ptr<CheckpointSource> open_source(const QuantizeOptions& options);

/// What the flags allow to stand at OUT.
Existing existing_of(const QuantizeOptions& options);

/// -j, or the processors of this process.
int workers_of(const QuantizeOptions& options);

}  // namespace mantissa::cli
