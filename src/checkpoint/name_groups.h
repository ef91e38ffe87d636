#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mantissa {

/// A name, and what else must be equal for two names to share a line.
struct NamedKind {
  std::string name;
  std::string kind;
};

/// Names that differ in numbers only and are of one kind.
struct NameGroup {
  std::string pattern;  ///< "model.layers.[0-29].mlp.up_proj.weight"
  std::vector<std::size_t> members;  ///< indices, in order
};

/// Groups in order of their first member.
std::vector<NameGroup> group_names(const std::vector<NamedKind>& names);

}  // namespace mantissa
