#include "torch/models/config_fields.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

ConfigFields::ConfigFields(const Json& object,
                           std::string path,
                           std::string file)
    : object_(object), path_(std::move(path)), file_(std::move(file)) {}

const Json* ConfigFields::find(const char* key) const {
  const auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool ConfigFields::is_null(const char* key) const {
  const auto it = object_.find(key);
  return it != object_.end() && it->is_null();
}

void ConfigFields::refuse(const char* key,
                          std::string_view expected,
                          std::string_view remedy) const {
  const Json* value = find(key);
  // A short excerpt: the value may be anything.
  std::string found = "nothing";
  if (value != nullptr) {
    found = value->is_structured() ? value->type_name() : value->dump();
    found = printable(found.substr(0, 60));
  }
  throw Error(ErrorKind::Input,
              fmt::format("{}: {}{}: expected {}, got {}{}{}",
                          file_,
                          path_,
                          key,
                          expected,
                          found,
                          remedy.empty() ? "" : "; ",
                          remedy));
}

const Json& ConfigFields::require(const char* key, const char* expected) const {
  const Json* value = find(key);
  if (value == nullptr) refuse(key, expected);
  return *value;
}

std::int64_t ConfigFields::count(const char* key, std::int64_t most) const {
  constexpr const char* kExpected = "a positive integer";
  const Json& value = require(key, kExpected);
  if (!value.is_number_integer()) refuse(key, kExpected);
  if (!value.is_number_unsigned() && value.get<std::int64_t>() < 1) {
    refuse(key, kExpected);
  }
  const auto out = value.get<std::uint64_t>();
  if (out < 1) refuse(key, kExpected);
  if (std::cmp_greater(out, most)) {
    refuse(key, fmt::format("at most {}", most), kOtherConfig);
  }
  return static_cast<std::int64_t>(out);
}

std::int64_t ConfigFields::count_or(const char* key,
                                    std::int64_t fallback,
                                    std::int64_t most) const {
  return has(key) ? count(key, most) : fallback;
}

double ConfigFields::number(const char* key) const {
  constexpr const char* kExpected = "a number";
  const Json& value = require(key, kExpected);
  if (!value.is_number()) refuse(key, kExpected);
  const auto out = value.get<double>();
  if (!std::isfinite(out)) refuse(key, kExpected);
  return out;
}

double ConfigFields::number_or(const char* key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

double ConfigFields::epsilon_or(const char* key, double fallback) const {
  const double value = number_or(key, fallback);
  if (!(value >= 0 && value <= 1)) refuse(key, "a number from 0 to 1");
  return value;
}

bool ConfigFields::flag_or(const char* key, bool fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) refuse(key, "true or false");
  return value->get<bool>();
}

std::string ConfigFields::text_or(const char* key,
                                  const std::string& fallback) const {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) refuse(key, "a string");
  return value->get<std::string>();
}

std::vector<std::int64_t> ConfigFields::integers(const char* key) const {
  constexpr const char* kExpected = "a list of integers";
  std::vector<std::int64_t> out;
  const Json* value = find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) refuse(key, kExpected);
  for (const Json& item : *value) {
    if (!item.is_number_integer() || item.get<std::int64_t>() < 0) {
      refuse(key, kExpected);
    }
    out.push_back(item.get<std::int64_t>());
  }
  return out;
}

std::vector<std::string> ConfigFields::texts(const char* key) const {
  constexpr const char* kExpected = "a list of strings";
  std::vector<std::string> out;
  const Json* value = find(key);
  if (value == nullptr) return out;
  if (!value->is_array()) refuse(key, kExpected);
  for (const Json& item : *value) {
    if (!item.is_string()) refuse(key, kExpected);
    out.push_back(item.get<std::string>());
  }
  return out;
}

std::optional<ConfigFields> ConfigFields::object(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) refuse(key, "an object");
  return ConfigFields(*value, path_ + key + ".", file_);
}

}  // namespace mantissa
