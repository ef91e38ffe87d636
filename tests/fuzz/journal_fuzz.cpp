#include "support/journal_sample.h"

#include <algorithm>
#include <string>

#include <mantissa/core/error.h>

#include "checkpoint/journal_line.h"
#include "checkpoint/work_units.h"
#include "fuzz/memory_file.h"
#include "fuzz/target.h"

namespace mantissa::fuzz {
namespace {

const support::JournalSample& sample() {
  static const support::JournalSample run;
  return run;
}

// A claim is about a unit of the plan, and says the same when it is written
// again.
void check_entry(const JournalEntry& entry) {
  const Plan& plan = sample().plan();
  expect(entry.unit.tensor < plan.tensors.size(), "a tensor of the plan");
  const auto units = work_units(plan, entry.unit.tensor);
  expect(std::ranges::find(units, entry.unit) != units.end(),
         "a unit of the plan");
  const PlannedTensor& planned = plan.tensors[entry.unit.tensor];
  expect(entry.result.xxh3.size() == planned.outputs.size(),
         "a hash for each output");
  const std::string line = journal_line(plan, entry);
  TensorIndex index;
  index.emplace(planned.tensor.name, entry.unit.tensor);
  const auto again =
      parse_journal_line(plan, index, line.substr(0, line.size() - 1));
  expect(again.has_value(), "a line that is written can be read");
  expect(journal_line(plan, *again) == line,
         "a line means the same when it is written again");
}

Outcome read(std::string_view text) {
  try {
    const MemoryFile file(text);
    const auto contents =
        read_journal(file.path(), sample().head(), sample().plan());
    if (!contents) return Outcome::Refused;
    expect(contents->bytes <= static_cast<std::int64_t>(text.size()) &&
               text[static_cast<std::size_t>(contents->bytes) - 1] == '\n',
           "what is kept ends with a line");
    for (const JournalEntry& entry : contents->entries) check_entry(entry);
    return contents->bytes == static_cast<std::int64_t>(text.size())
               ? Outcome::Accepted
               : Outcome::Refused;
  } catch (const Error& error) {
    expect(error.kind() == ErrorKind::Usage,
           "a journal of another run is Usage");
    return Outcome::Refused;
  }
}

}  // namespace

Outcome journal(std::string_view input) {
  if (input.starts_with("{\"schema_version\"")) return read(input);
  return read(sample().head() + std::string(input));
}

}  // namespace mantissa::fuzz
