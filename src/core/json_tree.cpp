#include "core/json_tree.h"

#include <cstdint>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(std::string_view what,
                         std::size_t byte,
                         std::string_view why) {
  throw JsonRefusal(fmt::format("{} at byte {}: {}", what, byte, why));
}

// Walks the text and leaves how far it came where the builder sees it.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  bool operator==(const Cursor& other) const { return at_ == other.at_; }
  bool operator!=(const Cursor& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

// "syntax error while parsing value - invalid literal; last read: 'nul'" says
// too much: what was read may be long, or hold control characters.
std::string reason_of(const nlohmann::json::exception& error) {
  constexpr int kOutOfRange = 406;
  if (error.id == kOutOfRange) return "a number beyond every double";
  std::string_view what = error.what();
  if (const auto dash = what.find(" - "); dash != what.npos) {
    what.remove_prefix(dash + 3);
  }
  const std::string_view reason = what.substr(0, what.find("; last read"));
  if (reason != "invalid literal") return std::string(reason);
  return "invalid literal; JSON has no NaN, no Infinity and no comments";
}

std::string shown_key(std::string_view key) {
  constexpr std::size_t kLongest = 60;
  std::string out = Json(key.substr(0, kLongest))
                        .dump(-1, ' ', true, Json::error_handler_t::replace);
  return key.size() > kLongest ? out + "..." : out;
}

// Builds the tree. The library's own builder looks every key up in a vector,
// which is quadratic; this one appends and keeps a set of the keys.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(std::string_view text, const JsonLimits& limits)
      : begin_(text.data()), reached_(text.data()), limits_(limits) {
    open_.reserve(static_cast<std::size_t>(limits.depth));
  }

  Json build(std::string_view text) {
    const char* end = begin_ + text.size();
    Json::sax_parse(Cursor(begin_, &reached_), Cursor(end, &reached_), this);
    return std::move(root_);
  }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(number_integer_t value) override {
    return add(value) != nullptr;
  }
  bool number_unsigned(number_unsigned_t value) override {
    return add(value) != nullptr;
  }
  bool number_float(number_float_t value, const string_t&) override {
    return add(value) != nullptr;
  }
  bool string(string_t& value) override {
    return add(std::move(value)) != nullptr;
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return enter(Json::object()); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return enter(Json::array()); }
  bool end_array() override { return leave(); }

  bool key(string_t& value) override {
    count();
    Level& level = open_.back();
    if (!level.is_new(value)) {
      refuse("unusable JSON", position(), "repeated key " + shown_key(value));
    }
    level.key = std::move(value);
    return true;
  }

  bool parse_error(std::size_t byte,
                   const std::string&,
                   const nlohmann::json::exception& error) override {
    const std::string reason = reason_of(error);
    const bool encoding = reason.find("UTF-8") != reason.npos;
    refuse(encoding ? "not UTF-8" : "not JSON", byte, reason);
  }

 private:
  // The base of ordered_map, whose push_back looks nothing up.
  using Members = std::vector<std::pair<const std::string, Json>>;

  // A container that is open.
  struct Level {
    Json* json;
    std::string key;
    std::unordered_set<std::string> keys;

    bool is_new(const std::string& name) {
      constexpr std::size_t kFew = 8;  // compared one by one
      const Members& members = json->get_ref<const Json::object_t&>();
      if (members.size() < kFew) {
        for (const auto& [other, value] : members) {
          if (other == name) return false;
        }
        return true;
      }
      if (keys.empty()) {
        for (const auto& [other, value] : members) keys.insert(other);
      }
      return keys.insert(name).second;
    }
  };

  std::size_t position() const {
    return static_cast<std::size_t>(reached_ - begin_);
  }

  void count() {
    if (++values_ > limits_.values) {
      refuse("unusable JSON",
             position(),
             fmt::format("more than {} values and keys", limits_.values));
    }
  }

  Json* add(Json value) {
    count();
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = open_.back();
    if (level.json->is_array()) {
      auto& items = level.json->get_ref<Json::array_t&>();
      return &items.emplace_back(std::move(value));
    }
    Members& members = level.json->get_ref<Json::object_t&>();
    return &members.emplace_back(std::move(level.key), std::move(value)).second;
  }

  // A container never moves while it is open: its parent grows after it.
  bool enter(Json container) {
    if (static_cast<int>(open_.size()) == limits_.depth) {
      refuse("unusable JSON",
             position(),
             fmt::format("nested deeper than {} levels", limits_.depth));
    }
    open_.push_back({add(std::move(container)), {}, {}});
    return true;
  }

  bool leave() {
    open_.pop_back();
    return true;
  }

  const char* begin_;
  const char* reached_;
  JsonLimits limits_;
  std::size_t values_ = 0;
  Json root_;
  std::vector<Level> open_;
};

}  // namespace

Json parse_json_tree(std::string_view text, const JsonLimits& limits) {
  if (text.starts_with("\xef\xbb\xbf")) {
    refuse("not JSON", 0, "begins with a byte order mark; save it without one");
  }
  // The lexer of the library takes a zero byte for the end of its input.
  if (const std::size_t zero = text.find('\0'); zero != text.npos) {
    refuse("not JSON", zero, "a zero byte");
  }
  return TreeBuilder(text, limits).build(text);
}

}  // namespace mantissa
