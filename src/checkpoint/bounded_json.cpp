#include "checkpoint/bounded_json.h"

#include <set>
#include <string>
#include <vector>

namespace mantissa {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 64;

struct Refused {};

// Throws Refused at the first key that stands twice in its object.
class KeyGuard {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (depth > kDeepest) throw Refused();
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key &&
        !keys_.back().insert(value.get<std::string>()).second) {
      throw Refused();
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

std::optional<Json> parse_bounded_json(std::string_view text) {
  if (text.find('\0') != text.npos) return std::nullopt;
  KeyGuard guard;
  try {
    return Json::parse(text.begin(), text.end(), std::ref(guard));
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const Refused&) {
    return std::nullopt;
  }
}

}  // namespace mantissa
