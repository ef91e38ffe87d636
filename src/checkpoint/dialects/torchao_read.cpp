#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/registry.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/torchao.h"
#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kNames = "tensor_names";
constexpr std::size_t kLargestEntry = 1'000'000;  // far above any attributes

std::vector<std::string> read_names(
    const std::map<std::string, std::string>& metadata) {
  const auto found = metadata.find(std::string(kNames));
  if (found == metadata.end()) {
    throw Error(ErrorKind::Input, "metadata: tensor_names is missing");
  }
  const auto list = parse_bounded_json(found->second);
  if (!list || !list->is_array()) {
    throw Error(ErrorKind::Input,
                "metadata: tensor_names: expected a JSON list of names");
  }
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const Json& name : *list) {
    if (!name.is_string() || !seen.insert(name.get<std::string>()).second) {
      throw Error(ErrorKind::Input,
                  "metadata: tensor_names: expected distinct names, got " +
                      quoted_name(name.dump()));
    }
    names.push_back(name.get<std::string>());
  }
  return names;
}

std::string known_formats() {
  std::string names;
  for (const Format& format : formats()) {
    if (!names.empty()) names += ", ";
    names += format.name;
  }
  return names.empty() ? "none" : names;
}

// What an entry says before its format is asked.
struct Entry {
  std::string type;
  std::string attributes;
  std::vector<std::string> data_names;
  std::string problem;
};

Entry read_entry_text(const std::string& text) {
  Entry entry;
  if (text.size() > kLargestEntry) {
    entry.problem = fmt::format(
        "the metadata entry has {} bytes, the limit "
        "is {}",
        text.size(),
        kLargestEntry);
    return entry;
  }
  const auto json = parse_bounded_json(text);
  if (!json || !json->is_object()) {
    entry.problem = "the metadata entry is not a JSON object";
    return entry;
  }
  if (!json->contains("_type") || !(*json)["_type"].is_string()) {
    entry.problem = "the metadata entry has no _type";
    return entry;
  }
  entry.type = (*json)["_type"].get<std::string>();
  if (entry.type == "Tensor") return entry;
  if (!json->contains("_data") || !(*json)["_data"].is_object()) {
    entry.problem = "the metadata entry has no _data object";
    return entry;
  }
  entry.attributes = (*json)["_data"].dump();
  const Json names = json->value("_tensor_data_names", Json());
  const bool strings =
      names.is_array() && std::ranges::all_of(names, [](const Json& name) {
        return name.is_string();
      });
  if (!strings || names.empty()) {
    entry.problem = "_tensor_data_names: expected a list of field names";
    return entry;
  }
  entry.data_names = names.get<std::vector<std::string>>();
  std::set<std::string> distinct(entry.data_names.begin(),
                                 entry.data_names.end());
  if (distinct.size() != entry.data_names.size()) {
    entry.problem = "_tensor_data_names: a field is named twice";
  }
  return entry;
}

}  // namespace

bool is_torchao_metadata(const std::map<std::string, std::string>& metadata) {
  const auto names = metadata.find(std::string(kNames));
  if (names == metadata.end()) return false;
  const auto list = parse_bounded_json(names->second);
  return list && list->is_array() && !list->empty();
}

TorchaoCheckpoint::TorchaoCheckpoint(const CheckpointSource& source)
    : DialectCheckpoint(source) {
  for (const std::string& name : read_names(source.metadata())) {
    read_entry(name);
  }
  collect_leftovers();
}

void TorchaoCheckpoint::read_entry(const std::string& name) {
  const auto found = source().metadata().find(name);
  if (found == source().metadata().end()) {
    return add_problem(name,
                       "tensor_names lists it, but the metadata has no entry");
  }
  Entry entry = read_entry_text(found->second);
  if (!entry.problem.empty()) return add_problem(name, entry.problem);
  if (entry.type == DialectTensor::kPlain) {
    if (const std::size_t* part = stored(name)) return add_plain(*part);
    return add_missing(name);
  }
  if (name.find('.') == name.npos) {
    return add_problem(
        name,
        fmt::format("{}: a name without a dot has no field names", entry.type));
  }
  read_encoded(
      {.name = name, .type = entry.type, .encoding = nullptr, .parts = {}},
      entry.attributes,
      entry.data_names);
}

void TorchaoCheckpoint::read_encoded(
    DialectTensor tensor,
    const std::string& attributes,
    const std::vector<std::string>& data_names) {
  std::vector<FieldLayout> fields;
  std::string absent;
  for (const std::string& field : data_names) {
    const std::size_t* part = stored(torchao_field_name(tensor.name, field));
    if (part == nullptr) {
      absent += (absent.empty() ? "" : ", ") + field;
      continue;
    }
    claim(*part);
    tensor.parts.push_back(*part);
    const SourceTensor& found = source().tensors()[*part];
    fields.push_back({field, found.dtype, found.shape});
  }
  if (tensor.parts.empty()) return add_missing(tensor.name);
  const auto problem = [&](const std::string& what) {
    add_problem(tensor.name, tensor.type, what);
  };
  if (!absent.empty()) {
    problem(fmt::format("field {} is missing: expected tensor {}",
                        absent,
                        quoted_name(torchao_field_name(
                            tensor.name, absent.substr(0, absent.find(','))))));
  } else if (const Format* format = find_format(tensor.type)) {
    try {
      tensor.encoding = format->parse(attributes, fields);
      tensor.parts = bind_fields(*tensor.encoding, fields, tensor.parts);
    } catch (const Error& error) {
      tensor.encoding = nullptr;
      problem(error.what());
    }
  } else {
    problem(fmt::format(
        "this format is not available in this version; available are {}",
        known_formats()));
  }
  add(std::move(tensor));
}

}  // namespace mantissa
