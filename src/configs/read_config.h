#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "configs/fields.h"

namespace mantissa {

/// A row of the registry: what is public, and what reading needs.
struct ConfigRow {
  std::string_view type;
  std::string_view short_name;
  bool available;
  std::string_view group_field;  ///< where --group-size goes, "" if nowhere
  std::string_view summary;
  std::string_view fits;
  std::string_view fits_not;
  std::shared_ptr<FieldConfig> (*make)();
  /// A field that only this class has, for two classes of one name.
  std::string_view telling_field = "";
};

std::span<const ConfigRow> config_rows();

/// The row for `_type` and the fields of `_data`; null if there is none.
const ConfigRow* find_row(std::string_view type, const Json& data);

/// Names of all configs, for suggestions: short names, then class names.
std::vector<std::string> config_names();

/// Why a removed config cannot be read and what replaces it; "" for a config
/// that stands. `data` may be null when only the name is known.
std::string removed_config(std::string_view type, const Json& data);

/// Rewrites `_data` of an older `_version` in the terms of today's fields and
/// warns; throws Error(Usage) when the meaning is not known.
void upgrade_fields(std::string_view type,
                    std::int64_t stored,
                    std::int64_t current,
                    Json& data,
                    ReadContext& context);

/// Sets the fields of a new config from `_data`.
ConfigPtr fill_config(const ConfigRow& row,
                      const Json& data,
                      ReadContext& context);

/// Parses JSON text with a bound on nesting; throws Error(Usage).
Json parse_json(std::string_view text);

/// Throws Error(Usage) for an unknown config name, with the nearest one.
[[noreturn]] void throw_unknown_config(std::string_view name);

}  // namespace mantissa
