#include <nlohmann/json.hpp>

#include <mantissa/configs/registry.h>
#include <mantissa/core/error.h>

#include "configs/read_config.h"

namespace mantissa {
namespace {

// Pieces between commas that stand outside brackets.
std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(' || text[i] == '[') ++depth;
    if (text[i] == ')' || text[i] == ']') --depth;
    if (text[i] == ',' && depth == 0) {
      out.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  out.push_back(text.substr(begin));
  return out;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

// "[a,b]" becomes a list of words, anything else one word.
Json value_of(std::string_view word) {
  if (!word.starts_with('[') || !word.ends_with(']')) {
    return std::string(word);
  }
  Json out = Json::array();
  for (const std::string_view item :
       split_words(word.substr(1, word.size() - 2))) {
    out.push_back(std::string(trimmed(item)));
  }
  return out;
}

Json fields_of(std::string_view type, std::string_view text) {
  Json data = Json::object();
  for (const std::string_view piece : split_words(text)) {
    const std::size_t equals = piece.find('=');
    const std::string name(trimmed(piece.substr(0, equals)));
    if (equals == std::string_view::npos || name.empty()) {
      throw Error(ErrorKind::Usage,
                  std::string(type) + ": expected field=value, got '" +
                      std::string(piece) + "'");
    }
    if (data.contains(name)) {
      throw Error(ErrorKind::Usage,
                  std::string(type) + ": field '" + name + "' is given twice");
    }
    data[name] = value_of(trimmed(piece.substr(equals + 1)));
  }
  return data;
}

std::string with_suffix(std::string_view name) {
  return std::string(name) + (name.ends_with("Config") ? "" : "Config");
}

}  // namespace

ConfigPtr parse_config_words(std::string_view words) {
  const std::size_t colon = words.find(':');
  const std::string_view name = trimmed(words.substr(0, colon));
  const ConfigInfo* info = find_config(name);
  const std::string type = with_suffix(name);
  Json data = Json::object();
  if (colon != std::string_view::npos) {
    data =
        fields_of(info == nullptr ? name : info->type, words.substr(colon + 1));
  }
  // As written first: UIntXWeightOnly is not UIntxWeightOnly.
  std::string removed = removed_config(type, data);
  if (removed.empty() && info != nullptr) {
    removed = removed_config(info->type, data);
  }
  if (!removed.empty()) throw Error(ErrorKind::Usage, removed);
  if (info == nullptr) throw_unknown_config(name);
  if (info->type == "FqnToConfig") {
    throw Error(ErrorKind::Usage,
                "FqnToConfig: words cannot give configs by name; give a JSON "
                "file, or --ignore and --tensor-type");
  }
  const ConfigRow& row = config_rows()[info - configs().data()];
  ReadContext context;
  context.kind = TextKind::Words;
  return fill_config(row, data, context);
}

ParsedConfig parse_config(std::string_view text) {
  const std::string_view start = trimmed(text);
  if (start.starts_with('{')) return parse_config_json(text);
  return {parse_config_words(text), {}};
}

ConfigPtr with_group_size(const ConfigPtr& config, std::int64_t group_size) {
  if (group_size < 1) {
    throw Error(
        ErrorKind::Usage,
        "--group-size: expected at least 1, got " + std::to_string(group_size));
  }
  Json object = Json::parse(config->to_json());
  const ConfigRow* row = find_row(config->type(), object["_data"]);
  const std::string_view field = row == nullptr ? "" : row->group_field;
  if (field.empty()) {
    throw Error(ErrorKind::Usage,
                std::string(config->type()) + " has no group size" +
                    (config->type() == "FqnToConfig"
                         ? "; set it in the configs it holds"
                         : "; leave out --group-size"));
  }
  Json& value = object["_data"][std::string(field)];
  value = field == "group_size" ? Json(group_size)
                                : Json{{"_type", "PerGroup"},
                                       {"_version", 1},
                                       {"_data", {{"group_size", group_size}}}};
  ReadContext context;
  return read_config(object, context);
}

}  // namespace mantissa
