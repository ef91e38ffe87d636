#include <algorithm>
#include <cctype>
#include <charconv>

#include <mantissa/configs/field_types.h>
#include <mantissa/core/error.h>

namespace mantissa {
namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw Error(ErrorKind::Usage,
              "granularity: expected per_tensor, per_row, per_token, "
              "per_axis(0), per_group(32) or per_block(128x128), got '" +
                  std::string(text) + "'");
}

// "PerBlock" and "per_block" -> "perblock".
std::string plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '_') {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

// The numbers in "32", "[128, 128]" or "128x128"; `whole` is for the message.
std::vector<std::int64_t> numbers(std::string_view text,
                                  std::string_view whole) {
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
  }
  std::vector<std::int64_t> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("x,"), text.size());
    const std::string_view digits = text.substr(0, end);
    std::int64_t value = 0;
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || stop != digits.data() + digits.size()) {
      refuse(whole);
    }
    out.push_back(value);
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  return out;
}

}  // namespace

Granularity parse_granularity(std::string_view text) {
  const std::size_t open = std::min(text.find('('), text.size());
  const std::string name = plain(text.substr(0, open));
  std::vector<std::int64_t> args;
  if (open < text.size()) {
    if (!text.ends_with(')')) refuse(text);
    args = numbers(text.substr(open + 1, text.size() - open - 2), text);
  }
  const std::size_t count = args.size();
  if (name == "pertensor" && count == 0) return PerTensor{};
  if (name == "pertoken" && count == 0) return PerToken{};
  if (name == "perrow" && count <= 1) return PerRow{count ? args[0] : -1};
  if (name == "peraxis" && count == 1) return PerAxis{args[0]};
  if (name == "pergroup" && count == 1) return PerGroup{args[0]};
  if (name == "perblock" && count >= 1) return PerBlock{std::move(args)};
  refuse(text);
}

bool TensorField::operator==(const TensorField& other) const {
  if (!value || !other.value)
    return value.has_value() == other.value.has_value();
  return value->dtype() == other.value->dtype() &&
         value->shape() == other.value->shape() &&
         std::ranges::equal(value->view().bytes(), other.value->view().bytes());
}

GranularityPair activation_and_weight(const Granularities& granularities,
                                      const Granularity& otherwise,
                                      std::string_view field) {
  if (const auto* one = std::get_if<Granularity>(&granularities)) {
    return {*one, *one};
  }
  if (const auto* list =
          std::get_if<std::vector<Granularity>>(&granularities)) {
    if (list->size() != 2) {
      throw Error(ErrorKind::Usage,
                  std::string(field) +
                      ": expected one granularity or two (activation, "
                      "weight), got a list of " +
                      std::to_string(list->size()));
    }
    return {(*list)[0], (*list)[1]};
  }
  return {otherwise, otherwise};
}

}  // namespace mantissa
