#include "cli/quantize_options.h"

#include <cmath>
#include <sstream>
#include <unordered_map>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <mantissa/configs/compressed_scheme.h>
#include <mantissa/configs/fqn_to_config.h>
#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>
#include <mantissa/core/worker_pool.h>

#include "checkpoint/cast_source.h"
#include "checkpoint/convert_rules.h"
#include "checkpoint/decoded_source.h"
#include "checkpoint/dialects/dialect.h"
#include "cli/number_options.h"
#include "cli/rule_files.h"
#include "cli/sizes.h"

namespace mantissa::cli {
namespace {

// Ranks of RuleSet: earlier groups win.
constexpr int kIgnoreGroup = 0;
constexpr int kTensorTypeGroup = 1;

constexpr const char* kPlain = "plain";

constexpr const char* kLaterFlags[] = {
    "--device",
    "--imatrix",
    "--keep-split",
    "--offload-folder",
    "--recipe",
    "--seed",
};

ParsedConfig read_config_file(const std::string& path) {
  const std::string text = read_rule_file("-c", path);
  try {
    return parse_config_json(text);
  } catch (const Error& error) {
    throw Error(error.kind(), fmt::format("-c: {}: {}", path, error.what()));
  }
}

// -c NAME, NAME:field=value,..., a JSON file or JSON itself.
ParsedConfig read_config(const std::string& words,
                         std::vector<std::string>& warnings) {
  ParsedConfig parsed =
      names_a_file(words) ? read_config_file(words) : parse_config(words);
  for (std::string& warning : parsed.warnings) {
    warnings.push_back("config: " + std::move(warning));
  }
  return parsed;
}

RuleSet::Entry parse_tensor_type(const std::string& words,
                                 const std::string& origin,
                                 std::vector<std::string>& warnings) {
  const std::size_t equals = words.find('=');
  if (equals == std::string::npos || equals == 0 ||
      equals + 1 == words.size()) {
    throw Error(ErrorKind::Usage,
                origin +
                    ": expected REGEX=CONFIG, for example "
                    "'down_proj=int8_weight_only'");
  }
  const std::string value = words.substr(equals + 1);
  ConfigPtr config = parse_compressed_scheme(value);
  if (config == nullptr && value != "none") {
    config = read_config(value, warnings).config;
  }
  return {{NamePattern::parse("re-search:" + words.substr(0, equals)),
           config,
           origin},
          kTensorTypeGroup};
}

void read_tensor_type_file(const std::filesystem::path& path,
                           std::vector<RuleSet::Entry>& entries,
                           std::vector<std::string>& warnings) {
  std::istringstream lines(read_rule_file("--tensor-type-file", path));
  std::string line;
  std::unordered_map<std::string, int> seen;  // expression -> line
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(0, line.find_first_not_of(" \t\r"));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty() || line.starts_with('#')) continue;
    const auto [first, fresh] =
        seen.emplace(line.substr(0, line.find('=')), number);
    if (!fresh) {
      throw Error(ErrorKind::Usage,
                  fmt::format("--tensor-type-file: {}:{}: expression '{}' "
                              "stands in line {} already, which wins",
                              path.string(),
                              number,
                              first->first,
                              first->second));
    }
    const std::string origin =
        fmt::format("{}:{} {}", path.string(), number, line);
    // Told here, before a file of rules has filled the memory.
    if (seen.size() > kMostPatterns) throw_too_many_patterns(origin);
    entries.push_back(parse_tensor_type(line, origin, warnings));
  }
}

bool chooses_size(const QuantizeOptions& options) {
  return !options.target_size.empty() || options.target_bpw.has_value();
}

// -c or --scheme with --group-size; a null config when neither is given.
ParsedConfig parse_base(const QuantizeOptions& options,
                        std::vector<std::string>& warnings) {
  if (!options.scheme.empty() && !options.config.empty()) {
    throw Error(ErrorKind::Usage, "--scheme and -c: give one of them");
  }
  if (!options.scheme.empty()) {
    const ConfigPtr scheme = parse_compressed_scheme(options.scheme);
    if (scheme == nullptr) {
      const std::string nearest = nearest_compressed_scheme(options.scheme);
      throw Error(ErrorKind::Usage,
                  fmt::format("--scheme: '{}' is unknown; {}known are {}",
                              options.scheme,
                              nearest.empty()
                                  ? ""
                                  : "did you mean " + nearest + "? ",
                              compressed_scheme_names()));
    }
    return {options.group_size == 0
                ? scheme
                : with_scheme_group_size(scheme, options.group_size),
            {}};
  }
  if (!options.config.empty()) {
    ParsedConfig base = read_config(options.config, warnings);
    if (options.group_size != 0) {
      base.config = with_group_size(base.config, options.group_size);
    }
    return base;
  }
  if (options.group_size != 0) {
    throw Error(ErrorKind::Usage,
                "--group-size: there is no -c config to apply it to");
  }
  if (options.tensor_types.empty() && options.tensor_type_files.empty() &&
      !chooses_size(options)) {
    throw Error(ErrorKind::Usage,
                "-c is missing: name a config, for example -c "
                "int8_weight_only (all of them: mantissa configs), or a "
                "--target-size");
  }
  return {};
}

// --target-size or --target-bpw; nothing when neither is given.
std::optional<SizeTarget> parse_target(const QuantizeOptions& options) {
  if (!chooses_size(options)) return {};
  if (!options.target_size.empty() && options.target_bpw) {
    throw Error(ErrorKind::Usage,
                "--target-size and --target-bpw: give one of them");
  }
  for (const auto& [given, flag] :
       {std::pair(!options.config.empty(), "-c"),
        std::pair(!options.scheme.empty(), "--scheme"),
        std::pair(options.group_size != 0, "--group-size")}) {
    if (!given) continue;
    throw Error(ErrorKind::Usage,
                fmt::format("{}: the formats are chosen by the target size; "
                            "leave it out, or fix single tensors with "
                            "--tensor-type",
                            flag));
  }
  SizeTarget out;
  if (options.target_bpw) {
    out.bits_per_weight = *options.target_bpw;
    out.words = fmt::format("--target-bpw {}", out.bits_per_weight);
    if (!std::isfinite(out.bits_per_weight)) {
      throw Error(ErrorKind::Usage, out.words + ": expected 1 to 32");
    }
  } else {
    out.bytes = parse_size("--target-size", options.target_size);
    out.words = "--target-size " + options.target_size;
  }
  return out;
}

const Dialect* parse_format(const QuantizeOptions& options) {
  std::string format = options.format;
  if (format.empty()) {
    format = options.scheme.empty() && !chooses_size(options)
                 ? "torchao"
                 : "compressed-tensors";
  }
  if (!options.scheme.empty() && format == "torchao") {
    throw Error(ErrorKind::Usage,
                "--scheme is of compressed-tensors; --format "
                "compressed-tensors writes it, or name a torchao config with "
                "-c");
  }
  if (const Dialect* dialect = find_dialect(format)) return dialect;
  std::string known;
  for (const Dialect* dialect : dialects()) {
    known += (known.empty() ? "" : ", ") + std::string(dialect->name());
  }
  throw Error(
      ErrorKind::Usage,
      fmt::format("--format: expected one of {}, got '{}'", known, format));
}

void set_memory(const QuantizeOptions& options, PlanRequest& request) {
  request.workers = workers_of(options);
  if (options.max_memory.empty()) return;
  request.max_memory = parse_size("--max-memory", options.max_memory);
}

// `convert` sees a quantized source as plain weights. Input scales stay where
// the target knows them.
std::unique_ptr<CheckpointSource> decoded(
    std::unique_ptr<CheckpointSource> source, const QuantizeOptions& options) {
  const Dialect* dialect = options.convert ? dialect_of(*source) : nullptr;
  if (dialect == nullptr) return source;
  const SideTensors side =
      dialect->name() == options.format ? SideTensors::Keep : SideTensors::Drop;
  return std::make_unique<DecodedSource>(std::move(source), *dialect, side);
}

}  // namespace

void add_source_options(CLI::App& command, QuantizeOptions& options) {
  command
      .add_option("IN",
                  options.input,
                  "Hugging Face directory, .safetensors or .gguf file")
      ->required();
  command.add_option("--dtype",
                     options.dtype,
                     "float32, bfloat16 or float16: dtype of what is not "
                     "quantized (default: bfloat16 from a quantized GGUF, "
                     "else the source's)");
  command
      .add_option("--shard-size",
                  options.shard_size,
                  "Largest output file, such as 5GB or 500MB")
      ->capture_default_str();
  command.add_option("--max-memory",
                     options.max_memory,
                     "Refuse a run that may take more, such as 96MiB; `plan` "
                     "says what it takes");
  command.add_flag("--json", options.json, "Machine-readable output");
  command.add_flag(
      "-v,--verbose", options.verbose, "One line per tensor, of plan and run");
  command.add_flag("--allow-nonfinite",
                   options.allow_nonfinite,
                   "Keep tensors with NaN or Inf unquantized");
}

void add_config_options(CLI::App& command, QuantizeOptions& options) {
  command.add_option("-c,--config",
                     options.config,
                     "NAME, NAME:field=value,... or a JSON file (see "
                     "`mantissa configs`)");
  command.add_option("--scheme",
                     options.scheme,
                     "W4A16, W4A16_ASYM, W8A16, W8A8, FP8_DYNAMIC, ...: a "
                     "scheme of compressed-tensors in place of -c");
  command.add_option("--format",
                     options.format,
                     "torchao or compressed-tensors: how quantized tensors are "
                     "written (default: torchao, with --scheme "
                     "compressed-tensors)");
  expect_integer(
      *command.add_option("--group-size",
                          options.group_size,
                          "Group size of the -c config or the --scheme"),
      1,
      std::int64_t{1} << 40);
  command.add_option("--target-size",
                     options.target_size,
                     "91.7MB, 4GB, ...: in place of -c, choose the bits of "
                     "each weight so that all weights fit, with the least "
                     "predicted loss");
  command
      .add_option("--target-bpw",
                  options.target_bpw,
                  "The same with the bits a weight on average, such as 4.5")
      ->check(CLI::Range(1.0, 32.0));
  command
      .add_option("--ignore",
                  options.ignore,
                  "Keep what this names: exact name, glob:, re:, "
                  "re-prefix: or re-search: (repeatable)")
      ->allow_extra_args(false);
  command
      .add_option("--tensor-type",
                  options.tensor_types,
                  "REGEX=CONFIG, or REGEX=none to keep; the expression is "
                  "searched anywhere in the name (repeatable)")
      ->allow_extra_args(false);
  command
      .add_option("--tensor-type-file",
                  options.tensor_type_files,
                  "File of REGEX=CONFIG lines; # starts a comment")
      ->allow_extra_args(false);
  command.add_flag("--allow-skipped",
                   options.allow_skipped,
                   "Keep eligible tensors whose shape does not fit");
  command.add_flag("--allow-unknown-names",
                   options.allow_unknown_names,
                   "Quantize tensors whose loading name is not known");
  command.add_flag("--allow-private-format",
                   options.allow_private_format,
                   "Write formats that only Mantissa loads");
  command.add_flag("--allow-unloadable",
                   options.allow_unloadable,
                   "Write what no loader reads as it is meant");
}

void add_workers_option(CLI::App& command, QuantizeOptions& options) {
  expect_workers(
      *command.add_option("-j,--threads",
                          options.workers,
                          "Number of workers (default: all processors)"));
}

void add_output_options(CLI::App& command, QuantizeOptions& options) {
  command.add_option("-o,--output", options.out, "Directory to write")
      ->required();
  add_workers_option(command, options);
  command.add_flag("--force", options.force, "Replace OUT when it is done");
  command.add_flag(
      "--restart", options.restart, "Discard an unfinished OUT.partial");
  command.add_flag("--resume",
                   options.resume,
                   "Continue the run that left OUT.partial: what it finished "
                   "is checked, not made again");
  command.add_flag("-q,--quiet", options.quiet, "Print errors only");
}

void add_later_options(CLI::App& command) {
  for (const char* flag : kLaterFlags) {
    command
        .add_option_function<std::string>(
            flag,
            [flag](const std::string&) {
              throw Error(
                  ErrorKind::Usage,
                  std::string(flag) + " is not available in this version");
            })
        ->expected(0, 1)
        ->group("");
  }
}

ParsedRequest parse_request(const QuantizeOptions& options) {
  ParsedRequest out;
  std::vector<RuleSet::Entry> entries;
  for (const std::string& words : options.ignore) {
    entries.push_back(
        {{NamePattern::parse(words), nullptr, "--ignore " + words},
         kIgnoreGroup});
  }
  for (const std::string& words : options.tensor_types) {
    entries.push_back(
        parse_tensor_type(words, "--tensor-type " + words, out.warnings));
  }
  for (const auto& path : options.tensor_type_files) {
    read_tensor_type_file(path, entries, out.warnings);
  }
  out.size = parse_target(options);
  const ParsedConfig parsed = parse_base(options, out.warnings);
  const ConfigPtr& base = parsed.config;
  out.request.sorted_keys = parsed.sorted_keys;
  if (base != nullptr) base->validate();
  for (const RuleSet::Entry& entry : entries) {
    if (entry.rule.config != nullptr) entry.rule.config->validate();
  }
  out.rules =
      std::make_unique<RuleSet>(make_rule_set(base, std::move(entries)));
  out.request.rules = out.rules.get();
  out.request.dialect = parse_format(options);
  out.request.shard_bytes = parse_size("--shard-size", options.shard_size);
  set_memory(options, out.request);
  out.request.allow_skipped = options.allow_skipped;
  out.request.allow_unknown_names = options.allow_unknown_names;
  out.request.allow_private_format = options.allow_private_format;
  // A mix of widths is what a target asks for; the plan says who loads it.
  out.request.allow_unloadable =
      options.allow_unloadable || out.size.has_value();
  return out;
}

ParsedRequest parse_convert_request(const QuantizeOptions& options,
                                    const CheckpointSource& source) {
  ParsedRequest out;
  out.request.shard_bytes = parse_size("--shard-size", options.shard_size);
  set_memory(options, out.request);
  out.request.allow_unloadable = true;  // values stay; the plan still warns
  if (options.format.empty() || options.format == kPlain) return out;
  const Dialect* target = parse_format(options);
  out.request.dialect = target;
  const auto* decoded = dynamic_cast<const DecodedSource*>(&source);
  if (decoded == nullptr || !options.dtype.empty()) {
    throw Error(
        ErrorKind::Usage,
        decoded == nullptr && options.dtype.empty()
            ? fmt::format("--format {}: {} holds no quantized tensors that "
                          "convert reads; `quantize` makes them",
                          options.format,
                          options.input.string())
            : "--dtype: codes are carried over as they are; leave it out");
  }
  out.rules = std::make_unique<RuleSet>(convert_rules(*decoded, *target));
  out.request.rules = out.rules.get();
  out.request.allow_unknown_names = true;
  out.request.allow_private_format = true;
  return out;
}

std::unique_ptr<CheckpointSource> open_source(const QuantizeOptions& options) {
  if (options.dtype.empty()) {
    return decoded(open_checkpoint(options.input), options);
  }
  const std::optional<DType> dtype = dtype_from_name(options.dtype);
  if (!dtype || !is_high_precision(*dtype) || *dtype == DType::Float64) {
    throw Error(ErrorKind::Usage,
                "--dtype: expected float32, bfloat16 or float16, got '" +
                    options.dtype + "'");
  }
  return cast_source(
      decoded(open_checkpoint(options.input, {.dtype = dtype}), options),
      *dtype);
}

Existing existing_of(const QuantizeOptions& options) {
  if (options.resume && options.restart) {
    throw Error(ErrorKind::Usage,
                "--resume continues an interrupted run and --restart discards "
                "it; give one of them");
  }
  return {.replace = options.force,
          .restart = options.restart,
          .resume = options.resume};
}

int workers_of(const QuantizeOptions& options) {
  return options.workers == 0 ? default_workers() : options.workers;
}

}  // namespace mantissa::cli
