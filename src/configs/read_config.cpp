#include "configs/read_config.h"

#include <nlohmann/json.hpp>

#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "core/json_tree.h"
#include "core/suggest.h"

namespace mantissa {
namespace {

constexpr int kMaxConfigDepth = 8;  // AWQ over FqnToConfig over a config is 3

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorKind::Usage, what);
}

// Names of FqnToConfig in older files.
std::string_view current_name(std::string_view type) {
  return type == "ModuleFqnToConfig" || type == "AOPerModuleConfig"
             ? "FqnToConfig"
             : type;
}

// A missing `_version` is 1, as torchao reads it.
std::int64_t stored_version(const Json& value, const std::string& type) {
  const auto found = value.find("_version");
  if (found == value.end()) return 1;
  if (!found->is_number_integer()) {
    fail(type + ": _version: expected an integer, got " + shown(*found));
  }
  return found->get<std::int64_t>();
}

// The config in a model's config.json; `document` itself if it is none.
const Json* inner_config(const Json& document) {
  if (!document.is_object() || !document.contains("quantization_config")) {
    return &document;
  }
  const Json& outer = document["quantization_config"];
  const std::string where = "config.json: quantization_config: ";
  if (!outer.is_object())
    fail(where + "expected an object, got " + shown(outer));
  const Json method = outer.value("quant_method", Json());
  if (method != "torchao") {
    fail(where + "quant_method: expected \"torchao\", got " + shown(method));
  }
  if (!outer.contains("quant_type") || !outer["quant_type"].is_object() ||
      !outer["quant_type"].contains("default")) {
    fail(where + "quant_type: expected {\"default\": ...}, got " +
         shown(outer.value("quant_type", Json())));
  }
  return &outer["quant_type"]["default"];
}

// True if the keys of every object stand in order. torchao writes `_type`
// first; only a writer that sorts puts `_data` before it.
bool keys_are_sorted(const Json& value) {
  std::string last;
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (value.is_object()) {
      if (it.key() < last) return false;
      last = it.key();
    }
    if (it->is_structured() && !keys_are_sorted(*it)) return false;
  }
  return true;
}

}  // namespace

Json parse_json(std::string_view text) {
  try {
    return parse_json_tree(text);
  } catch (const JsonRefusal& refusal) {
    fail(std::string("config: ") + refusal.what());
  }
}

void throw_unknown_config(std::string_view name) {
  constexpr std::size_t kLongest = 60;
  const std::string nearest =
      name.size() > kLongest ? "" : nearest_name(name, config_names());
  fail("config '" + std::string(name.substr(0, kLongest)) +
       (name.size() > kLongest ? "...'" : "'") + " is not known" +
       (nearest.empty() ? "; `mantissa configs` lists them"
                        : "; did you mean " + nearest + "?"));
}

ConfigPtr fill_config(const ConfigRow& row,
                      const Json& data,
                      ReadContext& context) {
  std::shared_ptr<FieldConfig> config = row.make();
  FieldReader reader(row.type, data, context);
  FieldAccess::read(*config, reader);
  reader.finish();
  return config;
}

ConfigPtr read_config(const Json& value, ReadContext& context) {
  if (!value.is_object() || !value.contains("_type") ||
      !value["_type"].is_string() || !value.contains("_data")) {
    fail(R"(config: expected {"_type": ..., "_version": ..., "_data": ...}, )"
         "got " +
         shown(value));
  }
  const std::string type(
      current_name(value["_type"].get_ref<const std::string&>()));
  Json data = value["_data"];
  if (!data.is_object()) {
    fail(type + ": _data: expected an object of fields, got " + shown(data));
  }
  const std::string removed = removed_config(type, data);
  if (!removed.empty()) fail(removed);
  const ConfigRow* row = find_row(type, data);
  if (row == nullptr) throw_unknown_config(type);
  if (context.depth >= kMaxConfigDepth) {
    fail(type + ": configs are nested too deeply");
  }
  const std::int64_t stored = stored_version(value, type);
  const std::int64_t current = row->make()->version();
  if (stored != current) {
    upgrade_fields(type, stored, current, data, context);
  }
  ++context.depth;
  ConfigPtr config = fill_config(*row, data, context);
  --context.depth;
  return config;
}

ParsedConfig parse_config_json(std::string_view text) {
  const Json document = parse_json(text);
  const Json& object = *inner_config(document);
  ReadContext context;
  ConfigPtr config = read_config(object, context);
  const bool by_name = config->type() == "FqnToConfig";
  return {std::move(config),
          std::move(context.warnings),
          by_name && keys_are_sorted(object)};
}

}  // namespace mantissa
