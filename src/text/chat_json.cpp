// JSON in and out of chat templates.
#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <mantissa/core/error.h>

#include "core/json_tree.h"
#include "text/characters.h"
#include "text/chat_value.h"

namespace mantissa::text::chat {
namespace {

using Json = nlohmann::ordered_json;

Value from_json(const Json& json) {
  if (json.is_null()) return nullptr;
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_number_unsigned() &&
      json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
    return json.get<double>();
  }
  if (json.is_number()) return json.get<std::int64_t>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    List list;
    for (const Json& item : json) list.push_back(from_json(item));
    return list;
  }
  Dict dict;
  for (const auto& [key, item] : json.get_ref<const Json::object_t&>()) {
    dict.items.emplace_back(key, from_json(item));
  }
  return dict;
}

void write_string(std::string_view text, bool ascii, std::string& out) {
  out += '"';
  for_each_character(text, [&](char32_t c, std::string_view bytes) {
    constexpr std::string_view kPlain = "\"\\\n\r\t\b\f";
    constexpr std::string_view kEscapes = "\"\\nrtbf";
    const std::size_t at =
        c < 0x80 ? kPlain.find(static_cast<char>(c)) : kPlain.npos;
    if (at != kPlain.npos) {
      out += '\\';
      out += kEscapes[at];
    } else if (c < 0x20 || (ascii && c >= 0x7f && c < 0x10000)) {
      if (c == 0x7f) {
        out += bytes;
      } else {
        out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      }
    } else if (ascii && c >= 0x10000) {
      const auto above = static_cast<unsigned>(c) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}",
                         0xd800 + (above >> 10),
                         0xdc00 + (above & 0x3ff));
    } else {
      out += bytes;
    }
  });
  out += '"';
}

class Writer {
 public:
  Writer(const JsonStyle& style, std::string& out) : style_(style), out_(out) {}

  JsonEnd end() const { return end_; }

  bool write(const Value& value, int depth) {
    if (value.is_undefined() || value.as_namespace() != nullptr ||
        value.as<Function>() != nullptr) {
      return stop(JsonEnd::NoJson);
    }
    if (out_.size() > style_.limit) return stop(JsonEnd::Limit);
    if (value.is_none()) {
      out_ += "null";
    } else if (const auto* flag = value.as<bool>()) {
      out_ += *flag ? "true" : "false";
    } else if (const auto* text = value.as<std::string>()) {
      write_string(*text, style_.ensure_ascii, out_);
    } else if (const auto* list = value.as<List>()) {
      return write_list(*list, depth);
    } else if (const auto* dict = value.as<Dict>()) {
      return write_dict(*dict, depth);
    } else {
      out_ += to_text(value);
    }
    return true;
  }

 private:
  bool stop(JsonEnd why) {
    end_ = why;
    return false;
  }

  void line(int depth) {
    if (style_.indent < 0) return;
    out_ += '\n';
    out_.append(static_cast<std::size_t>(style_.indent * depth), ' ');
  }

  bool write_list(const List& list, int depth) {
    out_ += '[';
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out_ += style_.item;
      line(depth + 1);
      if (!write(list[i], depth + 1)) return false;
    }
    if (!list.empty()) line(depth);
    out_ += ']';
    return true;
  }

  bool write_dict(const Dict& dict, int depth) {
    std::vector<const std::pair<std::string, Value>*> items;
    for (const auto& item : dict.items) items.push_back(&item);
    if (style_.sort_keys) {
      std::ranges::sort(items, {}, [](const auto* item) -> const std::string& {
        return item->first;
      });
    }
    out_ += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item;
      line(depth + 1);
      write_string(items[i]->first, style_.ensure_ascii, out_);
      out_ += style_.colon;
      if (!write(items[i]->second, depth + 1)) return false;
    }
    if (!items.empty()) line(depth);
    out_ += '}';
    return true;
  }

  const JsonStyle& style_;
  std::string& out_;
  JsonEnd end_ = JsonEnd::Whole;
};

}  // namespace

Dict read_variables(std::string_view json) {
  try {
    const Json tree = parse_json_tree(json);
    const Value value = from_json(tree);
    if (const auto* dict = value.as<Dict>()) return *dict;
  } catch (const JsonRefusal& refusal) {
    throw Error(
        ErrorKind::Input,
        fmt::format("variables of the chat template: {}", refusal.what()));
  }
  throw Error(ErrorKind::Input,
              "variables of the chat template: expected a JSON object");
}

JsonEnd to_json(const Value& value, const JsonStyle& style, std::string& out) {
  Writer writer(style, out);
  writer.write(value, 0);
  return out.size() > style.limit ? JsonEnd::Limit : writer.end();
}

}  // namespace mantissa::text::chat
