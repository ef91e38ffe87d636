#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "configs/fields.h"
#include "core/suggest.h"

namespace mantissa {
namespace {

constexpr std::size_t kMaxShown = 60;

// torch's name of the dtype whose storage holds two values.
constexpr std::string_view kFloat4Pair = "float4_e2m1fn_x2";

}  // namespace

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) text.replace(kMaxShown, text.npos, "...");
  return text;
}

FieldReader::FieldReader(std::string_view owner,
                         const Json& data,
                         ReadContext& context)
    : owner_(owner), data_(data), context_(context) {}

bool FieldReader::has(std::string_view name) const {
  return data_.contains(std::string(name));
}

const Json* FieldReader::find(std::string_view name) {
  known_.emplace(name);
  field_ = name;
  const auto found = data_.find(std::string(name));
  return found == data_.end() ? nullptr : &*found;
}

void FieldReader::refuse(const std::string& expected, const Json& got) const {
  throw Error(ErrorKind::Usage,
              owner_ + ": " + field_ + ": expected " + expected + ", got " +
                  shown(got));
}

void FieldReader::finish() {
  const std::vector<std::string> names(known_.begin(), known_.end());
  for (auto it = data_.begin(); it != data_.end(); ++it) {
    if (known_.contains(it.key())) continue;
    if (context_.kind == TextKind::Json) {
      context_.warnings.push_back(owner_ + ": unknown field '" + it.key() +
                                  "' ignored");
      continue;
    }
    const std::string nearest = nearest_name(it.key(), names);
    throw Error(
        ErrorKind::Usage,
        fmt::format("{}: no field '{}'{} (fields: {})",
                    owner_,
                    it.key(),
                    nearest.empty() ? "" : "; did you mean " + nearest + "?",
                    fmt::join(names, ", ")));
  }
}

bool FieldReader::is_word(const Json& from) const {
  return context_.kind == TextKind::Words && from.is_string();
}

bool FieldReader::is_none(const Json& from) const {
  return from.is_null() ||
         (is_word(from) &&
          (from == "none" || from == "None" || from == "null"));
}

void FieldReader::get(const Json& from, bool& value) {
  if (is_word(from)) {
    if (from == "true" || from == "True" || from == "1")
      return void(value = true);
    if (from == "false" || from == "False" || from == "0") {
      return void(value = false);
    }
  }
  if (!from.is_boolean()) refuse("true or false", from);
  value = from.get<bool>();
}

void FieldReader::get(const Json& from, std::int64_t& value) {
  if (is_word(from)) {
    const auto& text = from.get_ref<const std::string&>();
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) refuse("an integer", from);
    return;
  }
  if (!from.is_number_integer() ||
      (from.is_number_unsigned() && from.get<std::uint64_t>() > INT64_MAX)) {
    refuse("an integer", from);
  }
  value = from.get<std::int64_t>();
}

void FieldReader::get(const Json& from, double& value) {
  if (is_word(from)) {
    const auto& text = from.get_ref<const std::string&>();
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) refuse("a number", from);
    return;
  }
  if (!from.is_number()) refuse("a number", from);
  value = from.get<double>();
}

void FieldReader::get(const Json& from, std::string& value) {
  if (!from.is_string()) refuse("a string", from);
  value = from.get<std::string>();
}

const Json& FieldReader::nested(const Json& from, std::string_view type) const {
  if (!from.is_object() || from.value("_type", Json()) != std::string(type) ||
      !from.contains("_data")) {
    refuse(R"({"_type": ")" + std::string(type) + R"(", "_data": ...})", from);
  }
  return from["_data"];
}

void FieldReader::get(const Json& from, DType& value) {
  const Json& text = from.is_string() ? from : nested(from, "torch.dtype");
  if (!text.is_string()) refuse("the name of a dtype", from);
  std::string_view spelled = text.get_ref<const std::string&>();
  if (spelled.ends_with(kFloat4Pair)) spelled.remove_suffix(3);  // "_x2"
  const std::optional<DType> found = dtype_from_name(spelled);
  if (!found) refuse("the name of a dtype", from);
  value = *found;
}

std::string FieldReader::enum_text(const Json& from,
                                   std::string_view type) const {
  const Json& text = from.is_string() ? from : nested(from, type);
  if (!text.is_string()) refuse("a " + std::string(type), from);
  return text.get<std::string>();
}

std::string FieldReader::in_capitals(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

// "Int4ChooseQParamsAlgorithm tinygemm or hqq": values where the enum has them.
void FieldReader::refuse_enum(const std::vector<EnumSpelling>& known,
                              std::string_view text,
                              const Json& got) const {
  std::string expected(known.front().type);
  std::vector<std::string> words;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const EnumSpelling& one = known[i];
    words.emplace_back(one.value.empty() ? one.member : one.value);
    expected += i == 0 ? " " : i + 1 == known.size() ? " or " : ", ";
    expected += words.back();
  }
  std::string nearest = nearest_name(text, words);
  if (nearest.empty()) nearest = nearest_name(in_capitals(text), words);
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}: expected {}, got {}{}",
                          owner_,
                          field_,
                          expected,
                          shown(got),
                          nearest.empty() ? ""
                                          : "; did you mean " + nearest + "?"));
}

EnumForm FieldReader::form_of(const Json& from,
                              const EnumSpelling& spelling,
                              EnumForm current) const {
  if (is_word(from)) return current;
  return from.is_string() && !spelling.value.empty() &&
                 from == std::string(spelling.value)
             ? EnumForm::Raw
             : EnumForm::Member;
}

void FieldReader::get(const Json& from, Granularity& value) {
  if (is_word(from)) {
    value = parse_granularity(from.get_ref<const std::string&>());
    return;
  }
  const Json type = from.is_object() ? from.value("_type", Json()) : Json();
  if (!type.is_string() || !from.contains("_data") ||
      !from["_data"].is_object()) {
    refuse("a granularity", from);
  }
  FieldReader fields(owner_ + ": " + field_, from["_data"], context_);
  if (type == "PerTensor") {
    value = PerTensor{};
  } else if (type == "PerToken") {
    value = PerToken{};
  } else if (type == "PerRow") {
    fields("dim", value.emplace<PerRow>().dim);
  } else if (type == "PerAxis") {
    fields("axis", value.emplace<PerAxis>().axis);
  } else if (type == "PerGroup" && fields.has("group_size")) {
    fields("group_size", value.emplace<PerGroup>().group_size);
  } else if (type == "PerBlock" && fields.has("block_size")) {
    fields("block_size", value.emplace<PerBlock>().block_size);
  } else {
    refuse("a granularity", from);
  }
  fields.finish();
}

void FieldReader::get(const Json& from, Granularities& value) {
  if (is_none(from)) {
    value = std::monostate();
  } else if (from.is_array()) {
    auto& list = value.emplace<std::vector<Granularity>>();
    for (const Json& item : from) get(item, list.emplace_back());
  } else {
    Granularity one;
    get(from, one);
    value = one;
  }
}

void FieldReader::get(const Json& from, Float8MMConfig& value) {
  const Json& data = nested(from, "Float8MMConfig");
  if (!data.is_object()) refuse("a Float8MMConfig", from);
  FieldReader fields(owner_ + ": " + field_, data, context_);
  value = {false, false, false};  // the NamedTuple's own defaults
  fields("emulate", value.emulate);
  fields("use_fast_accum", value.use_fast_accum);
  fields("pad_inner_dim", value.pad_inner_dim);
  fields.finish();
}

void FieldReader::get(const Json& from, std::vector<std::int64_t>& value) {
  if (!from.is_array()) refuse("a list of integers", from);
  value.clear();
  for (const Json& item : from) get(item, value.emplace_back());
}

void FieldReader::get(const Json& from, ConfigPtr& value) {
  if (is_none(from)) {
    value = nullptr;
  } else if (is_word(from)) {
    refuse("a config, which only JSON can give", from);
  } else {
    value = read_config(from, context_);
  }
}

void FieldReader::get(const Json& from, std::vector<FqnEntry>& value) {
  if (!from.is_object()) refuse("an object of configs by name", from);
  value.clear();
  for (auto it = from.begin(); it != from.end(); ++it) {
    ConfigPtr config;
    if (!it.value().is_null()) config = read_config(it.value(), context_);
    value.emplace_back(it.key(), std::move(config));
  }
}

void FieldReader::get(const Json& from, TensorField&) {
  if (!is_none(from)) refuse("null (JSON cannot hold a tensor)", from);
}

}  // namespace mantissa
