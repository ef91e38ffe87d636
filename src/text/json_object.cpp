#include "text/json_object.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa::text {
namespace {

std::string_view type_of(const Json& json) {
  if (json.is_array()) return "an array";
  if (json.is_object()) return "an object";
  return json.type_name();
}

std::string joined(std::string_view place, std::string_view key) {
  return key.empty() ? std::string(place) : fmt::format("{}.{}", place, key);
}

}  // namespace

JsonObject::JsonObject(const Json& json, std::string place)
    : json_(&json), place_(std::move(place)) {
  if (!json.is_object()) {
    fail("", fmt::format("expected an object, got {}", type_of(json)));
  }
}

const Json* JsonObject::find(std::string_view key) const {
  for (const auto& [name, value] : json_->get_ref<const Json::object_t&>()) {
    if (name == key) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

const Json& JsonObject::required(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr) fail(key, "missing");
  return *value;
}

std::string JsonObject::text(std::string_view key) const {
  const Json& value = required(key);
  if (!value.is_string()) {
    fail(key, fmt::format("expected a string, got {}", type_of(value)));
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kMaxText) {
    fail(key, fmt::format("{} bytes, at most {}", text.size(), kMaxText));
  }
  return text;
}

std::string JsonObject::text_or(std::string_view key,
                                std::string_view otherwise) const {
  return has(key) ? text(key) : std::string(otherwise);
}

bool JsonObject::flag(std::string_view key) const {
  const Json& value = required(key);
  if (!value.is_boolean()) {
    fail(key, fmt::format("expected true or false, got {}", type_of(value)));
  }
  return value.get<bool>();
}

bool JsonObject::flag_or(std::string_view key, bool otherwise) const {
  return has(key) ? flag(key) : otherwise;
}

std::int64_t JsonObject::number(std::string_view key,
                                std::int64_t limit) const {
  const Json& value = required(key);
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(limit)) {
    fail(key, fmt::format("expected a whole number from 0 to {}", limit));
  }
  return value.get<std::int64_t>();
}

std::int64_t JsonObject::number_or(std::string_view key,
                                   std::int64_t limit,
                                   std::int64_t otherwise) const {
  return has(key) ? number(key, limit) : otherwise;
}

JsonObject JsonObject::object(std::string_view key) const {
  return {required(key), joined(place_, key)};
}

std::vector<JsonObject> JsonObject::objects(std::string_view key) const {
  const Json& value = required(key);
  if (!value.is_array() || value.size() > kMaxParts) {
    fail(key, fmt::format("expected an array of at most {}", kMaxParts));
  }
  std::vector<JsonObject> out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    out.emplace_back(value[i], fmt::format("{}.{}[{}]", place_, key, i));
  }
  return out;
}

void JsonObject::fail(std::string_view key, std::string_view what) const {
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}", joined(place_, key), what));
}

void JsonObject::refuse(std::string_view key, std::string_view what) const {
  throw Error(ErrorKind::Usage,
              fmt::format("{}: {}", joined(place_, key), what));
}

void JsonObject::refuse_type(std::string_view supported) const {
  refuse("type",
         fmt::format("{} is not supported; supported are {}",
                     quoted_name(text("type")),
                     supported));
}

std::int32_t token_id_of(const Json& json, std::string_view place) {
  if (!json.is_number_unsigned() ||
      json.get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxTokens)) {
    throw Error(ErrorKind::Input,
                fmt::format("{}: expected a token id, a whole number below {}",
                            place,
                            kMaxTokens));
  }
  return json.get<std::int32_t>();
}

}  // namespace mantissa::text
