#pragma once

#include "checkpoint/plan.h"

namespace mantissa {

/// Second part of make_plan(): names the file tensors, spreads them over shards
/// in order, fixes every offset and writes headers and the index.
void lay_out_files(const CheckpointSource& source,
                   const PlanRequest& request,
                   Plan& plan);

}  // namespace mantissa
