#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <mantissa/configs/config.h>

namespace mantissa {

/// Whether this version can make what a config asks for.
enum class Availability { Now, Later };

/// A config: one row of the table in src/configs/registry.cpp.
struct ConfigInfo {
  std::string_view type;        ///< torchao's class name
  std::string_view short_name;  ///< "int4_weight_only"
  Availability availability;
  std::string_view summary;   ///< what it makes, one line
  std::string_view fits;      ///< where it fits, one line
  std::string_view fits_not;  ///< where it does not, one line
  ConfigPtr (*make)();        ///< with torchao's defaults
};

/// All configs, in the order of the documentation.
std::span<const ConfigInfo> configs();

/// The config of a class name with or without "Config", or of a snake_case
/// name; null if there is none.
const ConfigInfo* find_config(std::string_view name);

/// A config that was read, and what was odd about its text: unknown fields,
/// older versions. The library never prints them.
struct ParsedConfig {
  ConfigPtr config;
  std::vector<std::string> warnings;
  /// A FqnToConfig all of whose keys are sorted, as Transformers saves them:
  /// the order that its patterns were given in may be lost.
  bool sorted_keys = false;
};

/// Reads torchao's JSON (config_to_dict), or a config.json with such a config
/// in its `quantization_config`. Throws Error(Usage) naming the config
/// and field, what was expected and found; for a removed config the message
/// names its replacement. Does not validate().
ParsedConfig parse_config_json(std::string_view text);

/// Reads words of a command line: NAME or NAME:field=value,field=value with
/// torchao's fields. Values are numbers, true and false, none, dtype names,
/// enumerators in either spelling, granularities ("per_group(32)") and lists of
/// them in brackets. Throws Error(Usage); a typo gets the nearest name.
ConfigPtr parse_config_words(std::string_view words);

/// parse_config_json for text that starts with '{', else parse_config_words.
ParsedConfig parse_config(std::string_view text);

/// The config with another group size: its group_size field, or PerGroup as its
/// weight granularity. Throws Error(Usage) naming a config that has no groups.
ConfigPtr with_group_size(const ConfigPtr& config, std::int64_t group_size);

}  // namespace mantissa
