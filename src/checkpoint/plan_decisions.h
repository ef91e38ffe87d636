#pragma once

#include "checkpoint/plan.h"

namespace mantissa {

/// First part of make_plan(): fills tensors (action, reason, rule, encoding),
/// rule hits, warnings and problems from names and rules.
void decide_actions(const CheckpointSource& source,
                    const PlanRequest& request,
                    Plan& plan);

/// True for what a base config takes: a weight of a Linear, experts, an untied
/// head. A tensor without a known role is taken for a weight unless its name
/// says embedding or norm; a rule that names it overrides this.
bool is_eligible(const LoadingTensor& tensor);

}  // namespace mantissa
