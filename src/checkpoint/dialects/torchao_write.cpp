#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "checkpoint/dialects/torchao.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

// As json.dumps writes a string: everything outside ASCII escaped.
std::string json_string(std::string_view text) {
  if (needs_no_escape(text)) return '"' + std::string(text) + '"';
  return nlohmann::json(text).dump(-1, ' ', true);
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) {
    if (!list.empty()) list += ", ";
    list += json_string(text);
  }
  return '[' + list + ']';
}

void check_dotted(std::string_view tensor) {
  const std::size_t dot = tensor.rfind('.');
  if (dot != tensor.npos) return;
  throw Error(ErrorKind::Usage,
              fmt::format("tensor {}: torchao's files need names of the form "
                          "MODULE.PARAMETER; rename it, for example to {}",
                          quoted_name(tensor),
                          quoted_name("module." + std::string(tensor))));
}

}  // namespace

std::string torchao_field_name(std::string_view tensor,
                               std::string_view field) {
  check_dotted(tensor);
  const std::size_t dot = tensor.rfind('.');
  return fmt::format(
      "{}._{}_{}", tensor.substr(0, dot), tensor.substr(dot + 1), field);
}

std::string torchao_metadata_entry(const Encoding& encoding) {
  const std::vector<FieldLayout> fields = encoding.fields();
  const std::size_t required = encoding.required_fields();
  std::vector<std::string> names;
  for (std::size_t i = required; i < fields.size(); ++i) {
    names.push_back(fields[i].name);
  }
  for (std::size_t i = 0; i < required; ++i) names.push_back(fields[i].name);
  return fmt::format(
      R"({{"_type": {}, "_data": {}, "_tensor_data_names": {}}})",
      json_string(encoding.format_name()),
      encoding.attributes_json(),
      json_list(names));
}

void TorchaoMetadata::add(const std::string& name, const Encoding* encoding) {
  check_dotted(name);
  std::string& known = known_[encoding];
  if (known.empty()) {
    known = encoding == nullptr ? R"({"_type": "Tensor"})"
                                : torchao_metadata_entry(*encoding);
  }
  if (!entries_.emplace(name, known).second) {
    throw Error(ErrorKind::Usage,
                fmt::format("tensor {} is written twice", quoted_name(name)));
  }
  names_.push_back(name);
}

std::map<std::string, std::string> TorchaoMetadata::finish() const {
  std::map<std::string, std::string> metadata = entries_;
  metadata["tensor_names"] = json_list(names_);
  metadata["format"] = "pt";
  return metadata;
}

}  // namespace mantissa
