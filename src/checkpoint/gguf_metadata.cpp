#include "checkpoint/gguf_metadata.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/quoted.h"

namespace mantissa {
namespace {

constexpr std::uint64_t kMaxSigned = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void wrong_type(std::string_view key,
                             std::string_view expected,
                             const GgufValue& value) {
  throw Error(ErrorKind::Input,
              fmt::format("GGUF key {}: type: expected {}, found {}",
                          quoted_name(key),
                          expected,
                          kind_name(value)));
}

// Empty when the value is no whole number that int64_t holds.
std::optional<std::int64_t> whole(const GgufValue& value) {
  if (const auto* u = std::get_if<std::uint64_t>(&value)) {
    if (*u <= kMaxSigned) return static_cast<std::int64_t>(*u);
  } else if (const auto* i = std::get_if<std::int64_t>(&value)) {
    return *i;
  }
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> whole_array(const GgufValue& value) {
  if (const auto* i = std::get_if<std::vector<std::int64_t>>(&value)) return *i;
  const auto* u = std::get_if<std::vector<std::uint64_t>>(&value);
  if (u == nullptr) return std::nullopt;
  if (std::any_of(u->begin(), u->end(), [](std::uint64_t v) {
        return v > kMaxSigned;
      })) {
    return std::nullopt;
  }
  return std::vector<std::int64_t>(u->begin(), u->end());
}

}  // namespace

std::string_view kind_name(const GgufValue& value) {
  constexpr std::string_view kKinds[] = {
      "an unsigned integer",
      "a signed integer",
      "a float",
      "a bool",
      "a string",
      "an array of unsigned integers",
      "an array of signed integers",
      "an array of floats",
      "an array of bools",
      "an array of strings",
  };
  return kKinds[value.index()];
}

bool GgufMetadata::add(std::string key, GgufValue value) {
  if (!index_.emplace(key, pairs_.size()).second) return false;
  pairs_.push_back({std::move(key), std::move(value)});
  return true;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  return found == index_.end() ? nullptr : &pairs_[found->second].value;
}

std::optional<std::int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::optional<std::int64_t> result = whole(*value);
  if (!result) {
    const auto array = whole_array(*value);
    if (array && !array->empty() &&
        std::count(array->begin(), array->end(), array->front()) ==
            static_cast<std::ptrdiff_t>(array->size())) {
      result = array->front();
    }
  }
  if (!result || *result < 0) {
    wrong_type(key, "one whole number >= 0", *value);
  }
  return result;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(value)) return *d;
  if (const auto i = whole(*value)) return static_cast<double>(*i);
  wrong_type(key, "a number", *value);
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* b = std::get_if<bool>(value)) return *b;
  wrong_type(key, "a bool", *value);
}

const std::string* GgufMetadata::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* s = std::get_if<std::string>(value)) return s;
  wrong_type(key, "a string", *value);
}

const std::vector<std::string>* GgufMetadata::strings(
    std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* s = std::get_if<std::vector<std::string>>(value)) return s;
  wrong_type(key, "an array of strings", *value);
}

std::optional<std::vector<std::int64_t>> GgufMetadata::integers(
    std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  auto result = whole_array(*value);
  if (!result) wrong_type(key, "an array of whole numbers", *value);
  return result;
}

}  // namespace mantissa
