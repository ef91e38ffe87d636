#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>
#include <mantissa/core/tensor_view.h>
#include <mantissa/formats/registry.h>

#include "checkpoint/bounded_json.h"
#include "checkpoint/dialects/torchao.h"
#include "checkpoint/quoted.h"

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

std::string describe(DType dtype, const Shape& shape) {
  return fmt::format("{} {}", safetensors_name(dtype), to_string(shape));
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
    : source_(source), claimed_(source.tensors().size(), false) {
  const auto& stored = source.tensors();
  for (std::size_t i = 0; i < stored.size(); ++i) stored_[stored[i].name] = i;
  for (const std::string& name : read_names(source.metadata())) {
    read_entry(name);
  }
  for (std::size_t i = 0; i < stored.size(); ++i) {
    if (!claimed_[i]) leftovers_.push_back(i);
  }
}

void TorchaoCheckpoint::read_entry(const std::string& name) {
  const auto problem = [&](const std::string& what) {
    problems_.push_back(fmt::format("tensor {}: {}", quoted_name(name), what));
  };
  const auto found = source_.metadata().find(name);
  if (found == source_.metadata().end()) {
    return problem("tensor_names lists it, but the metadata has no entry");
  }
  Entry entry = read_entry_text(found->second);
  if (!entry.problem.empty()) return problem(entry.problem);
  TorchaoTensor tensor{
      .name = name, .type = entry.type, .encoding = nullptr, .parts = {}};
  if (tensor.plain()) {
    const auto stored = stored_.find(name);
    if (stored == stored_.end()) {
      missing_.push_back(name);
      return;
    }
    claimed_[stored->second] = true;
    tensor.parts = {stored->second};
    by_name_[name] = tensors_.size();
    tensors_.push_back(std::move(tensor));
    return;
  }
  if (name.find('.') == name.npos) {
    return problem(
        fmt::format("{}: a name without a dot has no field names", entry.type));
  }
  read_encoded(std::move(tensor), entry.attributes, entry.data_names);
}

void TorchaoCheckpoint::read_encoded(
    TorchaoTensor tensor,
    const std::string& attributes,
    const std::vector<std::string>& data_names) {
  std::vector<FieldLayout> fields;
  std::string absent;
  for (const std::string& field : data_names) {
    const auto stored = stored_.find(torchao_field_name(tensor.name, field));
    if (stored == stored_.end()) {
      absent += (absent.empty() ? "" : ", ") + field;
      continue;
    }
    const SourceTensor& part = source_.tensors()[stored->second];
    claimed_[stored->second] = true;
    tensor.parts.push_back(stored->second);
    fields.push_back({field, part.dtype, part.shape});
  }
  if (tensor.parts.empty()) {
    missing_.push_back(tensor.name);
    return;
  }
  const std::string who =
      fmt::format("tensor {}: {}: ", quoted_name(tensor.name), tensor.type);
  if (!absent.empty()) {
    problems_.push_back(
        who +
        fmt::format("field {} is missing: expected tensor {}",
                    absent,
                    quoted_name(torchao_field_name(
                        tensor.name, absent.substr(0, absent.find(','))))));
  } else if (const Format* format = find_format(tensor.type)) {
    try {
      tensor.encoding = format->parse(attributes, fields);
      bind_fields(tensor, data_names);
    } catch (const Error& error) {
      tensor.encoding = nullptr;
      problems_.push_back(who + error.what());
    }
  } else {
    problems_.push_back(
        who + fmt::format("this format is not available in this version; "
                          "available are {}",
                          known_formats()));
  }
  by_name_[tensor.name] = tensors_.size();
  tensors_.push_back(std::move(tensor));
}

// Puts the parts into the order of the encoding's fields and compares them.
void TorchaoCheckpoint::bind_fields(
    TorchaoTensor& tensor, const std::vector<std::string>& data_names) {
  std::vector<std::size_t> ordered;
  for (const FieldLayout& field : tensor.encoding->fields()) {
    const auto at = std::ranges::find(data_names, field.name);
    if (at == data_names.end()) {
      throw Error(
          ErrorKind::Input,
          fmt::format("field {} is not in _tensor_data_names", field.name));
    }
    const std::size_t part =
        tensor.parts[static_cast<std::size_t>(at - data_names.begin())];
    const SourceTensor& stored = source_.tensors()[part];
    if (stored.dtype != field.dtype || stored.shape != field.shape) {
      throw Error(ErrorKind::Input,
                  fmt::format("field {}: expected {}, got {}",
                              field.name,
                              describe(field.dtype, field.shape),
                              describe(stored.dtype, stored.shape)));
    }
    ordered.push_back(part);
  }
  if (ordered.size() != tensor.parts.size()) {
    throw Error(
        ErrorKind::Input,
        fmt::format(
            "expected {} fields, got {}", ordered.size(), tensor.parts.size()));
  }
  tensor.parts = std::move(ordered);
}

void TorchaoCheckpoint::require_sound() const {
  if (!problems_.empty()) throw Error(ErrorKind::Input, problems_.front());
}

const TorchaoTensor* TorchaoCheckpoint::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

const TorchaoTensor& TorchaoCheckpoint::at(std::string_view name) const {
  const TorchaoTensor* tensor = find(name);
  if (tensor == nullptr) {
    throw Error(
        ErrorKind::Usage,
        fmt::format("tensor {} is not in the checkpoint", quoted_name(name)));
  }
  if (tensor->plain() || tensor->encoding != nullptr) return *tensor;
  const std::string start =
      fmt::format("tensor {}: ", quoted_name(tensor->name));
  const auto problem = std::ranges::find_if(
      problems_,
      [&](const std::string& text) { return text.starts_with(start); });
  throw Error(ErrorKind::Input, *problem);
}

HostTensor TorchaoCheckpoint::read_part(std::size_t index) const {
  const SourceTensor& part = source_.tensors()[index];
  HostTensor tensor(part.dtype, part.shape);
  const MatrixShape shape = matrix_shape(part.shape);
  source_.read_rows(index,
                    0,
                    part.stored_bytes == 0 ? 0 : shape.matrices * shape.rows,
                    tensor.mutable_view().bytes());
  return tensor;
}

EncodedTensor TorchaoCheckpoint::load(std::string_view name) const {
  const TorchaoTensor& tensor = at(name);
  if (tensor.plain()) {
    throw Error(ErrorKind::Usage,
                fmt::format("tensor {} is not quantized", quoted_name(name)));
  }
  EncodedTensor loaded{tensor.encoding, {}};
  for (const std::size_t part : tensor.parts) {
    loaded.fields.push_back(read_part(part));
  }
  return loaded;
}

HostTensor TorchaoCheckpoint::load_dense(std::string_view name) const {
  const TorchaoTensor& tensor = at(name);
  return tensor.plain() ? read_part(tensor.parts[0]) : load(name).decode();
}

}  // namespace mantissa
