#pragma once

#include <memory>
#include <string>
#include <vector>

#include <mantissa/configs/name_rules.h>

#include "checkpoint/journal.h"
#include "checkpoint/plan.h"
#include "support/memory_source.h"

namespace mantissa::support {

/// A run that can be resumed, without its data: a plan of a quantized matrix,
/// an embedding and a norm that stay, and experts that are written in parts.
class JournalSample {
 public:
  JournalSample();

  const Plan& plan() const { return plan_; }
  /// The first line of a journal of this run.
  const std::string& head() const { return head_; }
  /// What the run writes about its units, in order, each with a newline.
  std::vector<std::string> lines() const;

 private:
  MemorySource source_;
  std::unique_ptr<RuleSet> rules_;
  Plan plan_;
  std::string head_;
};

}  // namespace mantissa::support
