#pragma once

#include "checkpoint/plan.h"

namespace mantissa {

/// First part of make_plan(): fills tensors (action, reason, rule, encoding),
/// rule hits, warnings and problems from names and rules.
void decide_actions(const CheckpointSource& source,
                    const PlanRequest& request,
                    Plan& plan);

}  // namespace mantissa
