#include <cstdio>
#include <ctime>

#include <fmt/format.h>

#include "core/quoted.h"
#include "text/chat_evaluator.h"

namespace mantissa::text::chat {
namespace {

Value raise_exception(Evaluator& self, const Arguments& with) {
  constexpr std::size_t kLongest = 1000;
  const Value* message = with.find(0, "message");
  std::string text = message == nullptr ? "" : self.text_of(*message);
  if (text.size() > kLongest) {
    std::size_t end = kLongest;
    while ((static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
    text = text.substr(0, end) + "...";
  }
  self.fail("the template refuses the conversation: " + text);
}

Value make_range(Evaluator& self, const Arguments& with) {
  constexpr std::int64_t kMost = 100'000;
  std::int64_t parts[3] = {0, 0, 1};
  const std::size_t count = with.values.size();
  if (count < 1 || count > 3) self.fail("range() takes 1 to 3 integers");
  for (std::size_t i = 0; i < count; ++i) {
    if (!is_integer(with.values[i], parts[count == 1 ? 1 : i])) {
      self.fail("range() takes integers");
    }
  }
  const auto [begin, end, step] = parts;
  if (step == 0) self.fail("range() with step 0");
  List out;
  const __int128 stride = step;
  for (__int128 i = begin; step > 0 ? i < end : i > end; i += stride) {
    out.emplace_back(static_cast<std::int64_t>(i));
    if (static_cast<std::int64_t>(out.size()) > kMost) {
      self.fail(fmt::format("range() of more than {} items", kMost));
    }
  }
  return self.made(std::move(out));
}

Value make_dict(Evaluator& self, const Arguments& with) {
  Dict out;
  if (!with.values.empty()) {
    const auto* dict = with.values[0].as<Dict>();
    if (dict == nullptr) self.fail("dict() takes a dict and name=value");
    self.charge_values(2 * dict->items.size());
    out = *dict;
  }
  for (const auto& [name, value] : with.named) {
    out.items.emplace_back(name, value);
  }
  return out;
}

Value format_now(Evaluator& self, const Arguments& with) {
  const std::string& date = self.options().date;
  std::tm time{};
  const int read = std::sscanf(date.c_str(),
                               "%4d-%2d-%2dT%2d:%2d:%2d",
                               &time.tm_year,
                               &time.tm_mon,
                               &time.tm_mday,
                               &time.tm_hour,
                               &time.tm_min,
                               &time.tm_sec);
  if (date.empty()) {
    self.fail("the template asks for the date; give one (--date 2026-11-27)");
  }
  const bool valid = (read == 3 || read == 6) && time.tm_mon >= 1 &&
                     time.tm_mon <= 12 && time.tm_mday >= 1 &&
                     time.tm_mday <= 31 && time.tm_hour < 24 &&
                     time.tm_min < 60 && time.tm_sec < 62;
  if (!valid) {
    self.fail(
        fmt::format("date {}: expected 2026-11-27 or "
                    "2026-11-27T09:30:00",
                    quoted_name(date)));
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  timegm(&time);  // fills the day of the week
  const Value* format = with.find(0, "format");
  const std::string text = format == nullptr ? "" : self.text_of(*format);
  if (text.size() > 256) self.fail("strftime_now: a format over 256 bytes");
  constexpr std::string_view kKnown = "aAbBdHIjmMpSyYF%e";
  for (std::size_t i = text.find('%'); i != text.npos; i = text.find('%', i)) {
    if (i + 1 >= text.size() || kKnown.find(text[i + 1]) == kKnown.npos) {
      self.fail(fmt::format("strftime_now: {}: supported are %{}",
                            quoted_name(text),
                            fmt::join(kKnown, " %")));
    }
    i += 2;
  }
  char out[4096];
  return std::string(out, std::strftime(out, sizeof(out), text.c_str(), &time));
}

}  // namespace

Value global_function(std::string_view name) {
  if (name == "raise_exception") return Function(raise_exception);
  if (name == "range") return Function(make_range);
  if (name == "dict") return Function(make_dict);
  if (name == "strftime_now") return Function(format_now);
  if (name == "namespace") {
    return Function([](Evaluator& self, const Arguments& with) {
      return self.make_namespace(with);
    });
  }
  return {};
}

}  // namespace mantissa::text::chat
