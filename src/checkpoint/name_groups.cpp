#include "checkpoint/name_groups.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

namespace mantissa {
namespace {

// A name cut at its dots, and which of the pieces are numbers.
std::vector<std::string_view> components(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == name.npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

bool is_number(std::string_view part) {
  // Nine digits fit 32 bits; longer ones are words.
  return !part.empty() && part.size() <= 9 &&
         part.find_first_not_of("0123456789") == part.npos &&
         (part.size() == 1 || part[0] != '0');
}

int number(std::string_view part) {
  int value = 0;
  std::from_chars(part.data(), part.data() + part.size(), value);
  return value;
}

std::string key_of(const NamedKind& named) {
  std::string key;
  for (const std::string_view part : components(named.name)) {
    key += is_number(part) ? std::string_view("#") : part;
    key += '.';
  }
  return key + '\n' + named.kind;
}

// "[0-3,7]", or the number alone.
std::string spell(const std::set<int>& numbers) {
  if (numbers.size() == 1) return std::to_string(*numbers.begin());
  std::string text;
  for (auto at = numbers.begin(); at != numbers.end();) {
    const int first = *at;
    int last = first;
    for (++at; at != numbers.end() && *at == last + 1; ++at) last = *at;
    if (!text.empty()) text += ',';
    text += last > first ? fmt::format("{}-{}", first, last)
                         : std::to_string(first);
  }
  return '[' + text + ']';
}

std::string pattern_of(const std::vector<NamedKind>& names,
                       const std::vector<std::size_t>& members) {
  const auto first = components(names[members[0]].name);
  std::vector<std::set<int>> numbers(first.size());
  for (const std::size_t member : members) {
    const auto parts = components(names[member].name);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (is_number(parts[i])) numbers[i].insert(number(parts[i]));
    }
  }
  std::string pattern;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (i > 0) pattern += '.';
    pattern += numbers[i].empty() ? std::string(first[i]) : spell(numbers[i]);
  }
  return pattern;
}

}  // namespace

std::vector<NameGroup> group_names(const std::vector<NamedKind>& names) {
  std::vector<NameGroup> groups;
  std::unordered_map<std::string, std::size_t> by_key;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto [entry, added] =
        by_key.try_emplace(key_of(names[i]), groups.size());
    if (added) groups.push_back({});
    groups[entry->second].members.push_back(i);
  }
  for (NameGroup& group : groups) {
    group.pattern = pattern_of(names, group.members);
  }
  return groups;
}

}  // namespace mantissa
