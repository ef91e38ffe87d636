#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "checkpoint/journal.h"

namespace mantissa {

/// One line of a journal, newline included.
std::string journal_line(const Plan& plan, const JournalEntry& entry);

/// Index of a plan's tensors by name.
using TensorIndex = std::unordered_map<std::string_view, std::size_t>;

/// What a line says; nothing when it is torn or does not fit the plan.
std::optional<JournalEntry> parse_journal_line(const Plan& plan,
                                               const TensorIndex& index,
                                               std::string_view line);

}  // namespace mantissa
