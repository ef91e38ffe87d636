#include "checkpoint/strict_sax.h"

#include <fmt/format.h>

#include <mantissa/core/error.h>

namespace mantissa {

using Kind = JsonScalar::Kind;

std::string_view describe(JsonScalar::Kind kind) {
  switch (kind) {
    case Kind::Null:
      return "null";
    case Kind::Boolean:
      return "a boolean";
    case Kind::Unsigned:
      return "an integer";
    case Kind::Negative:
      return "a negative integer";
    case Kind::Float:
      return "a number that is no 64-bit integer";
    case Kind::String:
      return "a string";
  }
  return "";
}

void StrictSax::parse(std::string_view text) {
  // The lexer of the library takes a zero byte for the end of its input.
  if (const std::size_t zero = text.find('\0'); zero != text.npos) {
    fail(fmt::format("not JSON: zero byte at byte {}", zero));
  }
  const char* begin = text.data();
  nlohmann::json::sax_parse(begin, begin + text.size(), this);
}

void StrictSax::fail(const std::string& what) const {
  throw Error(ErrorKind::Input, label_ + ": " + what);
}

bool StrictSax::begin(Container container) {
  if (++depth_ > kMaxDepth) {
    fail(fmt::format("JSON nested deeper than {} levels", kMaxDepth));
  }
  on_begin(container);
  return true;
}

bool StrictSax::end() {
  on_end();
  --depth_;
  return true;
}

bool StrictSax::scalar(JsonScalar value) {
  on_scalar(value);
  return true;
}

bool StrictSax::null() { return scalar({.kind = Kind::Null, .text = {}}); }

bool StrictSax::boolean(bool) {
  return scalar({.kind = Kind::Boolean, .text = {}});
}

bool StrictSax::number_integer(number_integer_t) {
  return scalar({.kind = Kind::Negative, .text = {}});
}

bool StrictSax::number_unsigned(number_unsigned_t value) {
  return scalar({.kind = Kind::Unsigned, .number = value, .text = {}});
}

bool StrictSax::number_float(number_float_t, const string_t&) {
  return scalar({.kind = Kind::Float, .text = {}});
}

bool StrictSax::string(string_t& value) {
  return scalar({.kind = Kind::String, .text = std::move(value)});
}

bool StrictSax::binary(binary_t&) { return false; }

bool StrictSax::start_object(std::size_t) { return begin(Container::Object); }

bool StrictSax::key(string_t& value) {
  on_key(value);
  return true;
}

bool StrictSax::end_object() { return end(); }

bool StrictSax::start_array(std::size_t) { return begin(Container::Array); }

bool StrictSax::end_array() { return end(); }

bool StrictSax::parse_error(std::size_t position,
                            const std::string&,
                            const nlohmann::json::exception& error) {
  const std::string_view reason = error.what();
  const bool encoding =
      reason.substr(0, reason.find("; last read")).find("UTF-8") != reason.npos;
  fail(fmt::format(
      "not valid {} at byte {}", encoding ? "UTF-8" : "JSON", position));
}

}  // namespace mantissa
