#include "formats/attributes.h"

#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>

#include "core/json_tree.h"

namespace mantissa::attributes {
namespace {

constexpr int kMaxDepth = 16;          // torchao nests four deep
constexpr std::size_t kMaxShown = 60;  // characters of a value in a message

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::string shortened(std::string text) {
  if (text.size() <= kMaxShown) return text;
  text.resize(kMaxShown);
  return text + "...";
}

[[noreturn]] void fail(std::string_view owner, const std::string& what) {
  throw Error(ErrorKind::Input, std::string(owner) + ": " + what);
}

// Parses text, refusing duplicate keys and deep nesting on the way.
Json parse(std::string_view owner, std::string_view text) {
  try {
    return parse_json_tree(text, {.depth = kMaxDepth});
  } catch (const JsonRefusal& refusal) {
    fail(owner,
         fmt::format("attributes: {}: {}",
                     refusal.what(),
                     shortened(std::string(text))));
  }
}

void append(const Json& value, std::string& out) {
  if (value.is_object()) {
    out += '{';
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (it != value.begin()) out += ", ";
      out += Json(it.key()).dump(-1, ' ', true) + ": ";
      append(it.value(), out);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (it != value.begin()) out += ", ";
      append(*it, out);
    }
    out += ']';
  } else {
    out += value.dump(-1, ' ', true);
  }
}

}  // namespace

Json dtype(DType value) {
  return object("torch.dtype", std::string(name(value)));
}

Json object(std::string_view type, Json data) {
  Json out = Json::object();
  out["_type"] = std::string(type);
  out["_data"] = std::move(data);
  return out;
}

Json granularity(const Granularity& value) {
  return std::visit(
      Overloaded{
          [](const PerTensor&) { return object("PerTensor", Json::object()); },
          [](const PerAxis& g) {
            return object("PerAxis", {{"axis", g.axis}});
          },
          [](const PerRow& g) { return object("PerRow", {{"dim", g.dim}}); },
          [](const PerToken&) { return object("PerToken", Json::object()); },
          [](const PerGroup& g) {
            return object("PerGroup", {{"group_size", g.group_size}});
          },
          [](const PerBlock& g) {
            return object("PerBlock", {{"block_size", g.block_size}});
          },
      },
      value);
}

std::string dump(const Json& value) {
  std::string out;
  append(value, out);
  return out;
}

Reader::Reader(std::string_view owner, std::string_view text) : owner_(owner) {
  take(parse(owner, text));
}

void Reader::take(Json object) {
  object_ = std::move(object);
  if (!object_.is_object()) {
    fail(
        owner_,
        "attributes: expected a JSON object, got " + shortened(object_.dump()));
  }
}

bool Reader::present(std::string_view key) const {
  return object_.contains(key);
}

bool Reader::has(std::string_view key) const {
  const auto it = object_.find(key);
  return it != object_.end() && !it->is_null();
}

DType Reader::dtype(std::string_view key) {
  const Json& value = member(key, "a torch.dtype");
  if (value.is_object() && value.size() == 2 && value.contains("_type") &&
      value["_type"] == "torch.dtype" && value.contains("_data") &&
      value["_data"].is_string()) {
    const auto found = dtype_from_name(value["_data"].get<std::string>());
    if (found) return *found;
  }
  refuse(key, "a torch.dtype");
}

Granularity Reader::granularity(std::string_view key) {
  const char* expected = "a granularity";
  const Json& value = member(key, expected);
  if (!value.is_object() || !value.contains("_type") ||
      !value["_type"].is_string()) {
    refuse(key, expected);
  }
  const auto type = value["_type"].get<std::string>();
  Reader fields = object(key, type);
  Granularity out;
  if (type == "PerTensor") {
    out = PerTensor{};
  } else if (type == "PerToken") {
    out = PerToken{};
  } else if (type == "PerRow") {
    out = PerRow{fields.present("dim") ? fields.integer("dim") : -1};
  } else if (type == "PerAxis") {
    out = PerAxis{fields.present("axis") ? fields.integer("axis") : 0};
  } else if (type == "PerGroup") {
    out = PerGroup{fields.integer("group_size")};
  } else if (type == "PerBlock") {
    out = PerBlock{fields.integers("block_size")};
  } else {
    refuse(key, expected);
  }
  fields.finish();
  return out;
}

Shape Reader::integers(std::string_view key) {
  const Json& value = member(key, "a list of integers");
  if (!value.is_array()) refuse(key, "a list of integers");
  Shape out;
  for (const Json& item : value) {
    if (!item.is_number_integer()) refuse(key, "a list of integers");
    out.push_back(item.get<std::int64_t>());
  }
  return out;
}

std::int64_t Reader::integer(std::string_view key) {
  const Json& value = member(key, "an integer");
  if (!value.is_number_integer()) refuse(key, "an integer");
  return value.get<std::int64_t>();
}

double Reader::number(std::string_view key) {
  const Json& value = member(key, "a number");
  if (!value.is_number()) refuse(key, "a number");
  return value.get<double>();
}

bool Reader::boolean(std::string_view key) {
  const Json& value = member(key, "true or false");
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

std::string Reader::text(std::string_view key) {
  const Json& value = member(key, "a string");
  if (!value.is_string()) refuse(key, "a string");
  return value.get<std::string>();
}

Reader Reader::object(std::string_view key, std::string_view type) {
  const std::string expected = "a " + std::string(type);
  const Json& value = member(key, expected.c_str());
  if (!value.is_object() || !value.contains("_type") ||
      value["_type"] != type || !value.contains("_data") ||
      !value["_data"].is_object()) {
    refuse(key, expected);
  }
  Reader reader;
  reader.owner_ = owner_ + ": " + std::string(key);
  reader.take(value["_data"]);
  for (const auto& [name, unused] : value.items()) {
    if (name != "_type" && name != "_data") reader.refuse(name, "nothing");
  }
  return reader;
}

void Reader::ignore(std::string_view key) { known_.emplace(key); }

void Reader::finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (!known_.contains(key)) {
      fail(owner_, "unknown attribute '" + shortened(key) + "'");
    }
  }
}

void Reader::refuse(std::string_view key, const std::string& expected) const {
  const auto it = object_.find(key);
  fail(owner_,
       std::string(key) + ": expected " + expected + ", got " +
           (it == object_.end() ? "nothing" : shortened(dump(*it))));
}

const Json& Reader::member(std::string_view key, const char* expected) {
  known_.emplace(key);
  const auto it = object_.find(key);
  if (it == object_.end()) refuse(key, expected);
  return *it;
}

std::string Reader::enum_text(std::string_view key, std::string_view type) {
  const std::string expected = "a " + std::string(type);
  const Json& value = member(key, expected.c_str());
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.size() == 2 && value.contains("_type") &&
      value["_type"] == type && value.contains("_data") &&
      value["_data"].is_string()) {
    return value["_data"].get<std::string>();
  }
  refuse(key, expected);
}

}  // namespace mantissa::attributes
