#include "checkpoint/name_table.h"

#include <charconv>

namespace mantissa {
namespace {

// A name with each number between dots replaced by '#'.
struct NumberedName {
  std::string pattern;
  std::vector<std::int64_t> numbers;
};

// Digits as Transformers writes them: no sign, no leading zero, and few enough
// that products of them cannot overflow.
std::optional<std::int64_t> parse_number(std::string_view word) {
  const bool padded = word.size() > 1 && word.front() == '0';
  if (word.empty() || word.size() > 9 || padded) return std::nullopt;
  if (word.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::int64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

NumberedName number_name(std::string_view name) {
  NumberedName out;
  out.pattern.reserve(name.size());
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view word = name.substr(0, dot);
    if (const auto value = parse_number(word)) {
      out.pattern += '#';
      out.numbers.push_back(*value);
    } else {
      out.pattern += word;
    }
    if (dot == std::string_view::npos) return out;
    out.pattern += '.';
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

std::string spell_name(std::string_view prefix,
                       std::string_view pattern,
                       const std::vector<std::int64_t>& numbers) {
  std::string out(prefix);
  std::size_t next = 0;
  for (const char c : pattern) {
    if (c == '#') {
      out += std::to_string(numbers[next++]);
    } else {
      out += c;
    }
  }
  return out;
}

std::string NameMatch::loading_name() const {
  return spell_name(loading_prefix,
                    row->loading.empty() ? row->stored : row->loading,
                    numbers);
}

NameTable::NameTable(const Architecture& architecture,
                     std::optional<std::int64_t> layers)
    : base_prefix_(architecture.family->base_prefix),
      loading_prefix_(architecture.kind->prefixed ? base_prefix_ : ""),
      layers_(layers) {
  const auto add = [](Rows& table, NameRows rows) {
    for (const NameRow& row : rows) table.emplace(row.stored, &row);
  };
  for (const NameRows& rows : architecture.family->rows) add(base_, rows);
  add(base_, architecture.kind->base);
  add(root_, architecture.kind->root);
}

// As Transformers does: the base prefix may be there or not, whatever the
// class has.
std::optional<NameMatch> NameTable::find(std::string_view stored) const {
  const bool has_prefix = stored.starts_with(base_prefix_);
  const std::string_view prefix = has_prefix ? base_prefix_ : "";
  if (auto match = look_up(base_, stored.substr(prefix.size()))) {
    match->stored_prefix = prefix;
    match->loading_prefix = loading_prefix_;
    return match;
  }
  return look_up(root_, stored);
}

std::string_view NameTable::sibling(const NameMatch& match,
                                    ExpertPart part) const {
  for (const auto& [pattern, row] : base_) {
    if (row->loading == match.row->loading && row->part == part) {
      return pattern;
    }
  }
  return match.row->stored;
}

std::optional<NameMatch> NameTable::look_up(const Rows& rows,
                                            std::string_view name) const {
  NumberedName numbered = number_name(name);
  const auto it = rows.find(numbered.pattern);
  if (it == rows.end()) return std::nullopt;
  if (!numbered.numbers.empty() && layers_ &&
      numbered.numbers.front() >= *layers_) {
    return std::nullopt;
  }
  return NameMatch{it->second, {}, {}, std::move(numbered.numbers)};
}

}  // namespace mantissa
