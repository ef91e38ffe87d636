#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/architectures.h"

namespace mantissa {

/// A row that a stored name matched.
struct NameMatch {
  const NameRow* row = nullptr;
  std::string_view stored_prefix;     ///< "model." if the file has it
  std::string_view loading_prefix;    ///< "model." if the class has it
  std::vector<std::int64_t> numbers;  ///< of layer and expert, in order

  /// The full name under which the class loads the tensor.
  std::string loading_name() const;
};

/// `prefix` and `pattern` with a number in place of each '#'; numbers without
/// a place are left out.
std::string spell_name(std::string_view prefix,
                       std::string_view pattern,
                       const std::vector<std::int64_t>& numbers);

/// The rows of one architecture behind two hash tables: a name costs one scan
/// and one or two look-ups, however many rows there are.
class NameTable {
 public:
  /// Names of layers from `layers` on do not match: the class has no such
  /// layer and would not load them.
  NameTable(const Architecture& architecture,
            std::optional<std::int64_t> layers);

  std::optional<NameMatch> find(std::string_view stored) const;
  /// Prefix of the base model in the class that loads.
  std::string_view loading_prefix() const { return loading_prefix_; }
  /// The stored pattern of another part of the fused tensor of `match`.
  std::string_view sibling(const NameMatch& match, ExpertPart part) const;

 private:
  using Rows = std::unordered_map<std::string_view, const NameRow*>;
  std::optional<NameMatch> look_up(const Rows& rows,
                                   std::string_view name) const;

  std::string_view base_prefix_;
  std::string_view loading_prefix_;
  std::optional<std::int64_t> layers_;
  Rows base_;
  Rows root_;
};

}  // namespace mantissa
